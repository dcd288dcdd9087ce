-- Which sets have enough errors now? Stored counts with their changes, and the new sets.
-- reads: stored_sets, set_changes, new_sets_size, classes, passing_1, passing_(size - 1)
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors (both null for a new set)
{% set tags = range(1, size + 1) %}
with known_sets as (
    -- If a tag is no longer frequent, no set with it is left.
    select
        s.class_id as class_id,
{% for i in tags %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        s.images + coalesce(x.images, 0) as images,
        s.errors + coalesce(x.errors, 0) as errors
    from stored_sets as s
    inner join passing_{{ size - 1 }} as p
        on p.class_id = s.class_id
{% for i in tags if i < size %}
        and p.tag_{{ i }} = s.tag_{{ i }}
{% endfor %}
    inner join passing_1 as l on l.class_id = s.class_id and l.tag_1 = s.tag_{{ size }}
    left join set_changes as x
        on x.class_id = s.class_id
{% for i in tags %}
        and x.tag_{{ i }} = s.tag_{{ i }}
{% endfor %}
)

select
    k.class_id as class_id,
{% for i in tags %}
    k.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    k.images as images,
    k.errors as errors
from known_sets as k
inner join classes as c on c.class_id = k.class_id
where k.errors >= c.min_errors

union all

select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    cast(null as bigint) as images,
    cast(null as bigint) as errors
from new_sets_{{ size }}
