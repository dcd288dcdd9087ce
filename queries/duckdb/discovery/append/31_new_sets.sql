-- Which of the unknown sets have enough errors? Those whose tags share enough errors.
-- reads: unknown_sets, error_members (bit strings), classes
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size
{% set tags = range(1, size + 1) %}
select
    s.class_id as class_id{% for i in tags %},
    s.tag_{{ i }} as tag_{{ i }}
{%- endfor %}

from unknown_sets as s
inner join classes as c on c.class_id = s.class_id
{% for i in tags %}
inner join error_members as m_{{ i }} on m_{{ i }}.class_id = s.class_id and m_{{ i }}.tag_1 = s.tag_{{ i }}
{% endfor %}
where bit_count({% for i in tags %}m_{{ i }}.error_bits{{ "" if loop.last else " & " }}{% endfor %}) >= c.min_errors
