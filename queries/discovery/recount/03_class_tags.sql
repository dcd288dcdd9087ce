-- Which of these images carries which tag?
-- reads: prime.tagged, outcomes (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: class_id, tag_id, image_no, error
select
    t.class_id as class_id,
    t.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from {{ schema }}.tagged as t
inner join outcomes as o on o.class_id = t.class_id and o.stored_no = t.image_no
where t.run_id = {{ run_id }}
