-- Which unseen image carries which tag?
-- reads: tags, images, unseen_vocabulary
-- returns: image_key, tag_id, copies (how many rows say so); tags of unknown images
--    and blank tags left out
select
    i.image_key as image_key,
    v.tag_id as tag_id,
    count(*) as copies
from tags as t
inner join images as i on i.image_id = t.image_id
inner join unseen_vocabulary as v on v.tag = t.tag
group by i.image_key, v.tag_id
