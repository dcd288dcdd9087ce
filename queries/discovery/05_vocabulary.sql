-- Which tags are there?
-- reads: tags (image_id, tag; as the user gave them, blank ones null)
-- returns: tag_id (from 1, in the order of the tags), tag; blank tags left out
select
    cast(row_number() over (order by tag) as integer) as tag_id,
    tag
from tags
where tag is not null
group by tag
