-- Which sets are a kept set plus one more tag?
-- reads: kept_members (of the size before), frequent, classes
-- parameter size: tags in a set
-- parameter min_images: fewest images of a failure mode
-- parameter max_absent: how many of them may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_1 ... tag_size (rising), images, errors; sets with too few images or errors to
--    be, or lead to, a failure mode are left out
{% set old = range(1, size) %}
with grown as (
    select
        m.class_id as class_id,
{% for i in old %}
        m.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        t.tag_id as new_tag,
        cast(count(*) as bigint) as images,
        cast(sum(t.error) as bigint) as errors
    from kept_members as m
    inner join frequent as t on t.class_id = m.class_id and t.image_no = m.image_no
    inner join classes as c on c.class_id = m.class_id
    group by
        m.class_id,
{% for i in old %}
        m.tag_{{ i }},
{% endfor %}
        t.tag_id,
        c.min_errors
    having count(*) >= {{ min_images }} and sum(t.error) >= c.min_errors
),

-- The new tag takes its place among the others. Several kept sets may grow into the same one.
sorted as (
    select distinct
        class_id,
        least(tag_1, new_tag) as tag_1,
{% for i in range(2, size) %}
        greatest(tag_{{ i - 1 }}, least(tag_{{ i }}, new_tag)) as tag_{{ i }},
{% endfor %}
        greatest(tag_{{ size - 1 }}, new_tag) as tag_{{ size }},
        images,
        errors
    from grown
    where
{% for i in old %}
        {{ "" if loop.first else "and " }}new_tag <> tag_{{ i }}
{% endfor %}
)

select *
from sorted
{% if 0 < max_absent < size %}
where tag_{{ size - max_absent }} <= {{ last_tag }}
{% endif %}
