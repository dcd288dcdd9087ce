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

{# The images of `sets` that carry all tags, and are errors or not. No join for each tag: of several
   large tables an engine may choose an order that takes longer than a full search. #}
{% macro counted(sets, errors_only) %}
    select
        class_id,
{% for i in tags %}
        tag_{{ i }},
{% endfor %}
        cast(count(*) as bigint) as images,
        cast(sum(error) as bigint) as errors
    from (
        select
            s.class_id as class_id,
{% for i in tags %}
            s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
            t.image_no as image_no,
            max(t.error) as error
        from (
{% for one in tags %}
            {{ "" if loop.first else "union all " }}select {{ sets }}.*, tag_{{ one }} as tag_id from {{ sets }}
{% endfor %}
        ) as s
        inner join tagged as t on t.class_id = s.class_id and t.tag_id = s.tag_id
{% if errors_only %}
        where t.error = 1
{% endif %}
        group by
            s.class_id,
{% for i in tags %}
            s.tag_{{ i }},
{% endfor %}
            t.image_no
        having count(*) = {{ size }}
    ) as carriers
    group by
        class_id{% for i in tags %},
        tag_{{ i }}
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
