-- How often should a sampler draw each image?
-- reads: mode_weights, weighed_images (class_name, image_id), weighed_members (mode_id, image_id)
-- parameter normalise: whether the mean weight of each class is 1
-- returns: image_id, class_name, failure_modes (how many of its class it falls in), weight (the
--    largest of theirs, 1 if it is in none)
with hardest as (
    select
        m.class_name as class_name,
        i.image_id as image_id,
        cast(count(*) as bigint) as failure_modes,
        max(m.weight) as weight
    from weighed_members as i
    inner join mode_weights as m on m.mode_id = i.mode_id
    group by m.class_name, i.image_id
),

weighed as (
    select
        i.image_id as image_id,
        i.class_name as class_name,
        coalesce(h.failure_modes, 0) as failure_modes,
        coalesce(h.weight, 1.0) as weight
    from weighed_images as i
    left join hardest as h on h.class_name = i.class_name and h.image_id = i.image_id
)

select
    image_id,
    class_name,
    failure_modes,
{% if normalise %}
    -- The order of a sum affects its last digits.
    round(weight / avg(weight) over (partition by class_name), 12) as weight
{% else %}
    weight
{% endif %}
from weighed
order by class_name, image_id
