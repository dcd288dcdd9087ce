-- How many images and errors does each surviving set have?
-- reads: members_size
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
select
    class_id,
{% for i in range(1, size + 1) %}
    tag_{{ i }},
{% endfor %}
    cast(count(*) as bigint) as images,
    cast(sum(error) as bigint) as errors
from members_{{ size }}
group by
    class_id{% for i in range(1, size + 1) %},
    tag_{{ i }}
{%- endfor %}

