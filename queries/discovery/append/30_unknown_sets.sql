-- Which sets that the run did not count may have enough errors now? Those with an error on a changed
-- image: all others have no more errors than before, when they had too few.
-- reads: set_changes, stored_sets, passing_1, passing_(size - 1)
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size
{% set tags = range(1, size + 1) %}
select
    x.class_id as class_id{% for i in tags %},
    x.tag_{{ i }} as tag_{{ i }}
{%- endfor %}

from set_changes as x
left join stored_sets as s
    on s.class_id = x.class_id
{% for i in tags %}
    and s.tag_{{ i }} = x.tag_{{ i }}
{% endfor %}
{% for left_out in tags %}
inner join passing_{{ size - 1 }} as without_{{ left_out }}
    on without_{{ left_out }}.class_id = x.class_id
{% for i in tags if i != left_out %}
    and without_{{ left_out }}.tag_{{ loop.index }} = x.tag_{{ i }}
{% endfor %}
{% endfor %}
where x.new_errors > 0 and s.class_id is null
