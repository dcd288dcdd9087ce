-- On how many images is each tag of a class now?
-- reads: prime.tagged, prime.vocabulary, prime.rare_tags, class_numbers, known_tags, change_tags
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: class_id, tag_id (of known_tags), images, errors, counted_images (on how many it was in the
--    run, if it counted in that class; else null)
with stored_counts as (
    select
        t.class_id as stored_class,
        t.tag_id as stored_id,
        count(*) as images,
        -- Errors come first in a class.
        sum(case when t.image_no < k.stored_errors then 1 else 0 end) as errors
    from {{ schema }}.tagged as t
    inner join class_numbers as k on k.stored_class = t.class_id
    where t.run_id = {{ run_id }}
    group by t.class_id, t.tag_id
),

parts as (
    select
        k.class_id as class_id,
        n.tag_id as tag_id,
        s.images as images,
        s.errors as errors,
        s.images as counted_images
    from stored_counts as s
    inner join class_numbers as k on k.stored_class = s.stored_class
    inner join {{ schema }}.vocabulary as v on v.run_id = {{ run_id }} and v.tag_id = s.stored_id
    inner join known_tags as n on n.tag = v.tag

    union all

    select
        k.class_id as class_id,
        n.tag_id as tag_id,
        1 as images,
        case when r.image_no < k.stored_errors then 1 else 0 end as errors,
        null as counted_images
    from {{ schema }}.rare_tags as r
    inner join class_numbers as k on k.stored_class = r.class_id
    inner join known_tags as n on n.tag = r.tag
    where r.run_id = {{ run_id }}

    union all

    select
        class_id,
        tag_id,
        sign as images,
        sign * error as errors,
        null as counted_images
    from change_tags
)

select
    class_id,
    tag_id,
    cast(sum(images) as bigint) as images,
    cast(sum(errors) as bigint) as errors,
    cast(sum(counted_images) as bigint) as counted_images
from parts
group by class_id, tag_id
having sum(images) > 0
