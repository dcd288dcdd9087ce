-- Which image of which class is an error, and where are its tags?
-- reads: prime.outcomes, class_numbers, named_images, present_images, classes, retagged
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: the columns of discovery/03_outcomes, and place (where the run has the image in the same
--    class, with the same tags and error; else null)
{% from 'discovery/append/rows.jinja' import place %}
with stored as (
    select
        k.class_id as class_id,
        o.image_id as image_id,
        o.label as label,
        o.prediction as prediction,
        o.error as error,
        {{ place('o.class_id', 'o.image_no') }} as place
    from {{ schema }}.outcomes as o
    inner join class_numbers as k on k.stored_class = o.class_id
    where o.run_id = {{ run_id }}
),

placed as (
    select
        s.class_id as class_id,
        s.image_id as image_id,
        s.label as label,
        s.prediction as prediction,
        s.error as error,
        s.place as place
    from stored as s
    left join named_images as n on n.place = s.place
    where n.place is null

    union all

    select
        c.class_id as class_id,
        p.image_id as image_id,
        p.label as label,
        p.prediction as prediction,
        p.error as error,
        case when r.image_id is null and n.error = p.error then n.place end as place
    from present_images as p
    inner join classes as c on c.class_name = p.class_name
    left join named_images as n on n.image_id = p.image_id and n.class_name = p.class_name
    left join retagged as r on r.image_id = p.image_id
)

select
    class_id,
    -- As in a search: errors first.
    cast(row_number() over (
        partition by class_id order by error desc, image_id
    ) - 1 as integer) as image_no,
    image_id,
    label,
    prediction,
    error,
    place
from placed
