-- Which image of a class carries which tag?
-- reads: outcomes, image_tags
-- returns: class_id, tag_id, image_no, error
select
    o.class_id as class_id,
    unnest(g.tag_ids) as tag_id,
    o.image_no as image_no,
    o.error as error
from outcomes as o
inner join image_tags as g on g.image_id = o.image_id
