-- Which sets have enough errors now? Stored counts with their changes, and new sets counted.
-- reads: stored_sets, set_changes, new_sets, tagged, classes, passing_1, passing_(size - 1)
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

-- The images that carry all tags. No join for each tag: of several large tables an engine may choose an order
-- that takes longer than a full search.
carriers as (
    select
        n.class_id as class_id,
{% for i in tags %}
        n.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        t.image_no as image_no,
        max(t.error) as error
    from (
{% for one in tags %}
        {{ "" if loop.first else "union all " }}select new_sets.*, tag_{{ one }} as tag_id from new_sets
{% endfor %}
    ) as n
    inner join tagged as t on t.class_id = n.class_id and t.tag_id = n.tag_id
    group by
        n.class_id,
{% for i in tags %}
        n.tag_{{ i }},
{% endfor %}
        t.image_no
    having count(*) = {{ size }}
),

recounted as (
    select
        class_id,
{% for i in tags %}
        tag_{{ i }},
{% endfor %}
        cast(count(*) as bigint) as images,
        cast(sum(error) as bigint) as errors
    from carriers
    group by
        class_id{% for i in tags %},
        tag_{{ i }}
{%- endfor %}

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
