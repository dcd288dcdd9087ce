-- Which tags does each image carry? A list for each image: it takes less time to tell apart the few
-- tags of an image than all pairs of image and tag.
-- reads: tags, images, vocabulary
-- returns: image_id, tag_ids (a list, each once), tag_rows (how many rows the tags table has); tags of unknown
--    images and blank tags left out
with listed as (
    select
        t.image_id as image_id,
        list(v.tag_id) as tag_ids
    from tags as t
    inner join images as i on i.image_id = t.image_id
    inner join vocabulary as v on v.tag = t.tag
    group by t.image_id
)

select
    image_id,
    list_distinct(tag_ids) as tag_ids,
    len(tag_ids) as tag_rows
from listed
