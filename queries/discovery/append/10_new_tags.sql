-- Which image carries which tag, according to the new tags?
-- reads: tags, present_images, known_tags
-- returns: image_id, tag_id (of known_tags), copies (how many rows say so); tags of unknown images
--    and blank tags left out
with present as (
    select image_id
    from present_images
    group by image_id
)

select
    t.image_id as image_id,
    k.tag_id as tag_id,
    count(*) as copies
from tags as t
inner join present as p on p.image_id = t.image_id
inner join known_tags as k on k.tag = t.tag
group by t.image_id, k.tag_id
