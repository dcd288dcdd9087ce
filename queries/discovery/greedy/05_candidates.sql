-- Which sets are counted? The kept ones and all subsets of larger ones: these are enough to tell
-- whether a tag is necessary.
-- reads: kept_size, below the largest size also candidates_(size + 1)
-- parameter size: tags in a set
-- parameter max_tags: tags in the largest set
-- returns: class_id, tag_1 ... tag_size
{% set tags = range(1, size + 1) %}
select
    class_id{% for i in tags %},
    tag_{{ i }}
{%- endfor %}

from kept_{{ size }}
{% if size < max_tags %}
{% for left_out in range(1, size + 2) %}

union

select
    class_id{% for i in range(1, size + 2) if i != left_out %},
    tag_{{ i }} as tag_{{ loop.index }}
{%- endfor %}

from candidates_{{ size + 1 }}
{% endfor %}
{% endif %}
