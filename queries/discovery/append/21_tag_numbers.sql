-- Which number does each tag of the run have now?
-- reads: prime.vocabulary, vocabulary (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: stored_id, tag_id
select
    s.tag_id as stored_id,
    v.tag_id as tag_id
from {{ schema }}.vocabulary as s
inner join vocabulary as v on v.tag = s.tag
where s.run_id = {{ run_id }}
