-- Which sets have enough errors now? Stored counts with their changes, and unknown sets counted.
-- reads: stored_sets, set_changes, unknown_sets, tagged, classes, passing_1, passing_(size - 1)
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors
{% set tags = range(1, size + 1) %}
with known_sets as (
    -- Where a tag is not frequent any more, no set with it is left.
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
),

{# The images of `sets` that carry all tags, and are errors or not. #}
{% macro counted(sets, errors_only) %}
    select
        s.class_id as class_id,
{% for i in tags %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        cast(count(*) as bigint) as images,
        cast(sum(t_1.error) as bigint) as errors
    from {{ sets }} as s
{% for i in tags %}
    inner join tagged as t_{{ i }}
        on t_{{ i }}.class_id = s.class_id
        and t_{{ i }}.tag_id = s.tag_{{ i }}
{% if i > 1 %}
        and t_{{ i }}.image_no = t_1.image_no
{% endif %}
{% if errors_only %}
        and t_{{ i }}.error = 1
{% endif %}
{% endfor %}
    group by
        s.class_id{% for i in tags %},
        s.tag_{{ i }}
{%- endfor %}

{% endmacro %}
with_errors as (
{{ counted('unknown_sets', true) }}
),

enough as (
    select
        e.class_id as class_id{% for i in tags %},
        e.tag_{{ i }} as tag_{{ i }}
{%- endfor %}

    from with_errors as e
    inner join classes as c on c.class_id = e.class_id
    where e.errors >= c.min_errors
),

recounted as (
{{ counted('enough', false) }}
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
    images,
    errors
from recounted
