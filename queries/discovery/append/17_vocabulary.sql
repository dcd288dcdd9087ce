-- Which tags are there now? Those of known_tags that an image still carries.
-- reads: tag_counts, known_tags
-- returns: tag_id (from 1, in the order of the tags), tag, known_id (its tag_id among
--    known_tags)
with used as (
    select tag_id
    from tag_counts
    group by tag_id
)

select
    cast(row_number() over (order by k.tag) as integer) as tag_id,
    k.tag as tag,
    k.tag_id as known_id
from known_tags as k
inner join used as u on u.tag_id = k.tag_id
