-- Which sets of this many tags have enough errors to be, or lead to, a failure mode?
-- reads: size 1: tagged, classes; larger: members_1, members_(size - 1), classes
-- parameter size: tags in a set
-- parameter max_absent: how many of them may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_1 ... tag_size (rising), errors; one row for each surviving tag set
{% set tags = range(1, size + 1) %}
{% if size == 1 %}
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    count(*) as errors
from tagged as t
inner join classes as c on c.class_id = t.class_id
where t.error = 1
group by t.class_id, t.tag_id, c.min_errors
having count(*) >= c.min_errors
{% else %}
-- Only misclassified images are counted, and only sets grown from survivors: errors fall as a set
-- grows, so every subset of a survivor survives.
select
    m.class_id as class_id,
{% for i in tags if i < size %}
    m.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    t.tag_1 as tag_{{ size }},
    count(*) as errors
from members_{{ size - 1 }} as m
inner join members_1 as t
    on t.class_id = m.class_id
    and t.image_no = m.image_no
    and t.tag_1 > m.tag_{{ size - 1 }}
inner join classes as c on c.class_id = m.class_id
where
    m.error = 1
    and t.error = 1
{% if 0 < max_absent < size %}
    -- Absent tags come last: as this one is present, at most this many follow.
    and m.tag_{{ size - max_absent }} <= {{ last_tag }}
{% endif %}
group by
    m.class_id,
{% for i in tags if i < size %}
    m.tag_{{ i }},
{% endfor %}
    t.tag_1,
    c.min_errors
having count(*) >= c.min_errors
{% endif %}
