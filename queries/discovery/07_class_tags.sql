-- Which image of a class carries which tag?
-- reads: outcomes, images, image_tags
-- returns: class_id, tag_id, image_no, error
select
    o.class_id as class_id,
    g.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from image_tags as g
inner join images as i on i.image_key = g.image_key
inner join outcomes as o on o.image_id = i.image_id
