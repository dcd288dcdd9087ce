-- What does the model take the images of these modes for? Where the class is the prediction: what
-- are they really?
-- reads: detailed, failure_modes, classes, outcomes, detailed_images
-- parameter column: prediction, or label where the class is the prediction
-- parameter most: how many names for each mode
-- returns: card, name (the prediction, or the label), images (errors with this name), error_share (of
--    the mode's errors), other_error_share (of the class's errors outside the mode; null where there
--    are none), names (how many different ones there are); the most common first
with in_mode as (
    select
        card,
        {{ column }} as name,
        count(*) as images
    from detailed_images
    where error = 1
    group by card, {{ column }}
),

in_class as (
    select
        class_id,
        {{ column }} as name,
        count(*) as images
    from outcomes
    where error = 1
    group by class_id, {{ column }}
),

ranked as (
    select
        n.card as card,
        n.name as name,
        n.images as images,
        m.errors as mode_errors,
        g.images - n.images as others,
        c.errors - m.errors as other_errors,
        row_number() over (
            partition by n.card order by n.images desc, n.name nulls last
        ) as place,
        count(*) over (partition by n.card) as names
    from in_mode as n
    inner join detailed as d on d.card = n.card
    inner join failure_modes as m on m.mode_id = d.mode_id
    inner join classes as c on c.class_name = m.class_name
    inner join in_class as g
        on g.class_id = c.class_id and g.name is not distinct from n.name
)

select
    card,
    name,
    cast(images as bigint) as images,
    cast(images as double) / mode_errors as error_share,
    case
        when other_errors > 0 then cast(others as double) / other_errors
    end as other_error_share,
    cast(names as bigint) as names
from ranked
where place <= {{ most }}
order by card, place
