-- By how much do the counts of each set change?
-- reads: changed_size
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors (how many more, or fewer where negative),
--    new_errors (on images as they are now)
{% set tags = range(1, size + 1) %}
select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    cast(sum(sign) as bigint) as images,
    cast(sum(sign * error) as bigint) as errors,
    cast(sum(case when sign = 1 then error else 0 end) as bigint) as new_errors
from changed_{{ size }}
group by
    class_id{% for i in tags %},
    tag_{{ i }}
{%- endfor %}

