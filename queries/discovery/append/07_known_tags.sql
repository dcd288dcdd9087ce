-- Which tags may the images carry?
-- reads: prime.vocabulary, prime.rare_tags, tags (the new ones), present_images
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: tag_id (from 1, in the order of the tags), tag
with all_tags as (
    select tag
    from {{ schema }}.vocabulary
    where run_id = {{ run_id }}

    union

    select tag
    from {{ schema }}.rare_tags
    where run_id = {{ run_id }}

    union

    select t.tag as tag
    from tags as t
    inner join present_images as p on p.image_id = t.image_id
    where t.tag is not null
)

select
    cast(row_number() over (order by tag) as integer) as tag_id,
    tag
from all_tags
