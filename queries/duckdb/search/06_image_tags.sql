-- Which tags does each image carry? A list for each image: its few tags are told apart in less time than
-- all pairs of an image and a tag.
-- reads: tags, images, vocabulary
-- returns: image_id, tag_ids (a list, each once), tag_rows (how many the tags table has); tags of unknown
--    images and blank tags left out
with listed as (
    select
        t.image_id as image_id,
        list(v.tag_id) as tag_ids
    from tags as t
    inner join vocabulary as v on v.tag = t.tag
    group by t.image_id
)

select
    l.image_id as image_id,
    list_distinct(l.tag_ids) as tag_ids,
    len(l.tag_ids) as tag_rows
from listed as l
inner join images as i on i.image_id = l.image_id
