-- Which tags are in the unseen data?
-- reads: tags (image_id, tag; as the user gave them, blank ones null)
-- returns: tag_id, tag; blank tags left out
select
    cast(row_number() over (order by tag) as integer) as tag_id,
    tag
from tags
where tag is not null
group by tag
