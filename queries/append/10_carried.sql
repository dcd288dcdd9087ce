-- Which image of a class carries which tag now?
-- reads: outcomes, stored_tags, new_tags
-- returns: class_id, tag_id (of known_tags), image_no, error
select
    o.class_id as class_id,
    s.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from stored_tags as s
inner join outcomes as o on o.stored_class = s.stored_class and o.stored_no = s.stored_no

union all

select
    o.class_id as class_id,
    n.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from new_tags as n
inner join outcomes as o on o.image_id = n.image_id
where o.stored_no is null
