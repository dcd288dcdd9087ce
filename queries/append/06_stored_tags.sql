-- Which image of the run so far carries which tag, the rare ones included?
-- reads: prime.tagged, prime.vocabulary, prime.rare_tags, known_tags
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: stored_class, stored_no, tag_id (of known_tags)
with numbers as (
    select
        v.tag_id as stored_id,
        k.tag_id as tag_id
    from {{ schema }}.vocabulary as v
    inner join known_tags as k on k.tag = v.tag
    where v.run_id = {{ run_id }}
)

select
    t.class_id as stored_class,
    t.image_no as stored_no,
    n.tag_id as tag_id
from {{ schema }}.tagged as t
inner join numbers as n on n.stored_id = t.tag_id
where t.run_id = {{ run_id }}

union all

select
    r.class_id as stored_class,
    r.image_no as stored_no,
    k.tag_id as tag_id
from {{ schema }}.rare_tags as r
inner join known_tags as k on k.tag = r.tag
where r.run_id = {{ run_id }}
