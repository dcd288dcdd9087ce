-- Which sets of so many tags have enough errors to be, or to lead to, a failure mode?
-- reads: size 1: tagged, classes; larger: members_(size - 1), classes
-- parameter size: tags in a set
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
-- Two survivors that differ in their last tag make a candidate; the bits that both have are its
-- errors.
select
    a.class_id as class_id,
{% for i in tags if i < size %}
    a.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    b.tag_{{ size - 1 }} as tag_{{ size }},
    cast(sum(bit_count(a.bits & b.bits)) as bigint) as errors
from members_{{ size - 1 }} as a
inner join members_{{ size - 1 }} as b
    on b.class_id = a.class_id
    and b.block = a.block
{% for i in tags if i < size - 1 %}
    and b.tag_{{ i }} = a.tag_{{ i }}
{% endfor %}
    and b.tag_{{ size - 1 }} > a.tag_{{ size - 1 }}
inner join classes as c on c.class_id = a.class_id
where a.error = 1 and b.error = 1
group by
    a.class_id,
{% for i in tags if i < size %}
    a.tag_{{ i }},
{% endfor %}
    b.tag_{{ size - 1 }},
    c.min_errors
having sum(bit_count(a.bits & b.bits)) >= c.min_errors
{% endif %}
