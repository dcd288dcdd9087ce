-- Which image carries which tag, as the new tags say?
-- reads: tags, images, known_tags
-- returns: image_id, tag_id, copies (how often the table says so); tags of unknown images and blank
--    tags left out
select
    t.image_id as image_id,
    k.tag_id as tag_id,
    count(*) as copies
from tags as t
inner join images as i on i.image_id = t.image_id
inner join known_tags as k on k.tag = t.tag
group by t.image_id, k.tag_id
