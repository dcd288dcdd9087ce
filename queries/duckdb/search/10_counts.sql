-- How many images and errors does each surviving set have?
-- reads: members_size
-- parameter size: tags in a set
-- parameter one_block = False: whether every set has one row in members
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
{% set sum = "" if one_block else "sum" %}
select
    class_id,
{% for i in range(1, size + 1) %}
    tag_{{ i }},
{% endfor %}
    cast(
        coalesce({{ sum }}(bit_count(error_bits)), 0) + coalesce({{ sum }}(bit_count(right_bits)), 0)
        as bigint
    ) as images,
    cast(coalesce({{ sum }}(bit_count(error_bits)), 0) as bigint) as errors
from members_{{ size }}
{% if not one_block %}
group by
    class_id{% for i in range(1, size + 1) %},
    tag_{{ i }}
{%- endfor %}

{% endif %}
