-- How many images and errors does each set have? New sets are counted.
-- reads: passing_size, new_sets_size, set_rows
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors
{% from 'discovery/append/rows.jinja' import kept_counts %}
{% set tags = range(1, size + 1) %}
-- The images that carry all tags. Not a join for each tag: with several large tables, an engine may choose an
-- order that takes longer than a full search.
with carriers as (
    select
        n.class_id as class_id,
{% for i in tags %}
        n.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        t.image_no as image_no,
        max(t.error) as error
    from (
{% for one in tags %}
        {{ "" if loop.first else "union all " }}select new_sets_{{ size }}.*, tag_{{ one }} as tag_id from new_sets_{{ size }}
{% endfor %}
    ) as n
    inner join set_rows as t on t.class_id = n.class_id and t.tag_1 = n.tag_id
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

{{ kept_counts(size) }}

union all

select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    images,
    errors
from recounted
