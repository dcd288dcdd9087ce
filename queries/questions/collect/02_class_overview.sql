-- Which classes have failure modes, and how many of their errors are in any?
-- reads: classes, failure_modes, mode_images
-- returns: class_name, images, errors, accuracy, failure_modes, mode_errors (errors that are in at
--    least one mode); one row for each class, those with most such errors first
with modes as (
    select
        class_name,
        count(*) as failure_modes
    from failure_modes
    group by class_name
),

mode_errors as (
    select
        class_id,
        count(distinct image_no) as mode_errors
    from mode_images
    where error = 1
    group by class_id
)

select
    c.class_name as class_name,
    c.images as images,
    c.errors as errors,
    c.accuracy as accuracy,
    cast(coalesce(m.failure_modes, 0) as bigint) as failure_modes,
    cast(coalesce(e.mode_errors, 0) as bigint) as mode_errors
from classes as c
left join modes as m on m.class_name = c.class_name
left join mode_errors as e on e.class_id = c.class_id
order by coalesce(e.mode_errors, 0) desc, c.errors desc, c.class_name
