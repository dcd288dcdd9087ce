-- Which errors carry each tag that a changed image with an error carries?
-- reads: changed_1, tagged
-- returns: class_id, tag_1, image_no
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    t.image_no as image_no
from tagged as t
inner join (
    select class_id, tag_1
    from changed_1
    where sign = 1 and error = 1
    group by class_id, tag_1
) as n on n.class_id = t.class_id and n.tag_1 = t.tag_id
where t.error = 1
