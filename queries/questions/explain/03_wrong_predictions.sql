-- What does the model take the images of a failure mode for? Where the class is the prediction: what
-- are they really?
-- reads: failure_modes, failure_mode_images, classes, outcomes
-- parameter mode_id: the mode
-- parameter column: prediction, or label where the class is the prediction
-- returns: prediction (or label), images (with this error), error_share (of the mode's errors),
--    other_error_share (of the class's errors outside the mode; null where there are none);
--    one row for each wrong prediction, the most common first
with class_errors as (
    select
        o.{{ column }} as {{ column }},
        case when i.image_id is null then 0 else 1 end as in_mode
    from failure_modes as m
    inner join classes as c on c.class_name = m.class_name
    inner join outcomes as o on o.class_id = c.class_id
    left join failure_mode_images as i on i.mode_id = m.mode_id and i.image_id = o.image_id
    where m.mode_id = {{ mode_id | literal }} and o.error = 1
),

totals as (
    select
        cast(sum(in_mode) as double) as mode_errors,
        cast(sum(1 - in_mode) as double) as other_errors
    from class_errors
),

by_prediction as (
    select
        {{ column }},
        cast(sum(in_mode) as bigint) as images,
        cast(sum(1 - in_mode) as bigint) as others
    from class_errors
    group by {{ column }}
)

select
    p.{{ column }} as {{ column }},
    p.images as images,
    p.images / t.mode_errors as error_share,
    case when t.other_errors > 0 then p.others / t.other_errors end as other_error_share
from by_prediction as p
cross join totals as t
where p.images > 0
order by p.images desc, p.{{ column }} nulls last
