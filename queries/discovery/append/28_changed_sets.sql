-- Which sets of this many tags does each changed image carry, where the set without its last tag
-- passes?
-- reads: changed_1, changed_(size - 1), passing_(size - 1)
-- parameter size: tags in a set
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_1 ... tag_size (rising), change_no, sign, error
{% set old = range(1, size) %}
select
    m.class_id as class_id,
{% for i in old %}
    m.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    t.tag_1 as tag_{{ size }},
    m.change_no as change_no,
    m.sign as sign,
    m.error as error
from changed_{{ size - 1 }} as m
inner join passing_{{ size - 1 }} as p
    on p.class_id = m.class_id
{% for i in old %}
    and p.tag_{{ i }} = m.tag_{{ i }}
{% endfor %}
inner join changed_1 as t on t.change_no = m.change_no and t.tag_1 > m.tag_{{ size - 1 }}
{% if 0 < max_absent < size %}
-- Absent tags come last: as this one is present, at most this many follow.
where m.tag_{{ size - max_absent }} <= {{ last_tag }}
{% endif %}
