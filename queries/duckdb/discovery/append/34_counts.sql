-- How many images and errors does each set have? New sets are counted, by the bits that their tags
-- share.
-- reads: passing_size, new_sets_size, set_rows (bit strings), error_members (bit strings)
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors
{% from 'discovery/append/rows.jinja' import kept_counts %}
{% set tags = range(1, size + 1) %}
{{ kept_counts(size) }}

union all

select
    n.class_id as class_id,
{% for i in tags %}
    n.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    cast(bit_count({% for i in tags %}s_{{ i }}.image_bits{{ "" if loop.last else " & " }}{% endfor %}) as bigint) as images,
    cast(bit_count({% for i in tags %}m_{{ i }}.error_bits{{ "" if loop.last else " & " }}{% endfor %}) as bigint) as errors
from new_sets_{{ size }} as n
{% for i in tags %}
inner join set_rows as s_{{ i }} on s_{{ i }}.class_id = n.class_id and s_{{ i }}.tag_1 = n.tag_{{ i }}
inner join error_members as m_{{ i }} on m_{{ i }}.class_id = n.class_id and m_{{ i }}.tag_1 = n.tag_{{ i }}
{% endfor %}
