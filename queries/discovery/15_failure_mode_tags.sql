-- How necessary is each tag of a failure mode?
-- reads: failure_modes, tag_sets, tag_names
-- parameter max_tags: tags in the largest set
-- returns: mode_id, tag, present (false for "not TAG"), accuracy_without (accuracy on the set without
--    this tag), necessity_margin (accuracy_without - accuracy on the set); one row for each mode and
--    tag
with margins as (
    select
        mode_id,
        tag_1 as name,
        class_accuracy as accuracy_without,
        class_accuracy - accuracy as necessity_margin
    from failure_modes
    where tag_count = 1
{% for size in range(2, max_tags + 1) %}
{% for left_out in range(1, size + 1) %}

    union all

    select
        m.mode_id as mode_id,
        m.tag_{{ left_out }} as name,
        s.accuracy as accuracy_without,
        s.accuracy - m.accuracy as necessity_margin
    from failure_modes as m
    inner join tag_sets as s
        on s.class_name = m.class_name
        and s.tag_count = {{ size - 1 }}
{% for i in range(1, size + 1) if i != left_out %}
        and s.tag_{{ loop.index }} = m.tag_{{ i }}
{% endfor %}
    where m.tag_count = {{ size }}
{% endfor %}
{% endfor %}
)

select
    m.mode_id as mode_id,
    n.tag as tag,
    n.present = 1 as present,
    m.accuracy_without as accuracy_without,
    m.necessity_margin as necessity_margin
from margins as m
inner join tag_names as n on n.name = m.name
