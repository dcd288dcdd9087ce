-- Which image of a class carries which tag, where the run does not store it among the frequent tags, or
-- the tag is too rare now? Few rows: those of images that changed, and of tags that were or became
-- rare.
-- reads: prime.tagged, prime.rare_tags, outcomes, tag_counts, class_numbers, tag_numbers, vocabulary,
--    current_tags
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter min_tag_images: fewest images on which a tag counts in a class
-- returns: class_id, tag_id, image_no, error
{% from 'discovery/append/rows.jinja' import place, now_rare %}
with {{ now_rare(min_tag_images) }},

found as (
    select
        {{ place('t.class_id', 't.image_no') }} as place,
        r.tag_id as tag_id
    from {{ schema }}.tagged as t
    inner join now_rare as r on r.stored_class = t.class_id and r.stored_id = t.tag_id
    where t.run_id = {{ run_id }}

    union all

    select
        {{ place('r.class_id', 'r.image_no') }} as place,
        v.tag_id as tag_id
    from {{ schema }}.rare_tags as r
    inner join vocabulary as v on v.tag = r.tag
    where r.run_id = {{ run_id }}
)

select
    o.class_id as class_id,
    f.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from found as f
inner join outcomes as o on o.place = f.place

union all

select
    o.class_id as class_id,
    v.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from outcomes as o
inner join current_tags as t on t.image_id = o.image_id
inner join vocabulary as v on v.known_id = t.tag_id
where o.place is null
