-- Which images carry the tags that have enough errors on their own?
-- reads: tagged, candidates_1
-- returns: class_id, tag_id, image_no, error
select
    t.class_id as class_id,
    t.tag_id as tag_id,
    t.image_no as image_no,
    t.error as error
from tagged as t
inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
