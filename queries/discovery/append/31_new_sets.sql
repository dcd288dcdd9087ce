-- Which of the unknown sets have enough errors?
-- reads: unknown_sets, error_members, classes
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size
{% set tags = range(1, size + 1) %}
with carriers as (
    select
        s.class_id as class_id,
{% for i in tags %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        m.image_no as image_no
    from (
{% for one in tags %}
        {{ "" if loop.first else "union all " }}select unknown_sets.*, tag_{{ one }} as tag_id from unknown_sets
{% endfor %}
    ) as s
    inner join error_members as m on m.class_id = s.class_id and m.tag_1 = s.tag_id
    group by
        s.class_id,
{% for i in tags %}
        s.tag_{{ i }},
{% endfor %}
        m.image_no
    having count(*) = {{ size }}
)

select
    s.class_id as class_id{% for i in tags %},
    s.tag_{{ i }} as tag_{{ i }}
{%- endfor %}

from carriers as s
inner join classes as c on c.class_id = s.class_id
group by
    s.class_id,
{% for i in tags %}
    s.tag_{{ i }},
{% endfor %}
    c.min_errors
having count(*) >= c.min_errors
