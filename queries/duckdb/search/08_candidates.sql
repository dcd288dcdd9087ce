-- Which sets of so many tags have enough errors to be, or to lead to, a failure mode?
-- reads: size 1: tagged, classes; larger: members_(size - 1), classes
-- parameter size: tags in a set
-- parameter one_block = False: whether every set has one row in members
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
-- errors. As in the portable plan, every subset of a survivor survives.
with candidates as (
    select
        a.class_id as class_id,
{% for i in tags if i < size %}
        a.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        b.tag_{{ size - 1 }} as tag_{{ size }},
        c.min_errors as min_errors,
        {{ "" if one_block else "sum(" }}bit_count(a.error_bits & b.error_bits){{ "" if one_block else ")" }} as errors
    from members_{{ size - 1 }} as a
    inner join members_{{ size - 1 }} as b
        on b.class_id = a.class_id
{% for i in tags if i < size - 1 %}
        and b.tag_{{ i }} = a.tag_{{ i }}
{% endfor %}
        and b.tag_{{ size - 1 }} > a.tag_{{ size - 1 }}
{% if not one_block %}
        and b.block = a.block
{% endif %}
    inner join classes as c on c.class_id = a.class_id
{% if not one_block %}
    group by all
{% endif %}
)

select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    cast(errors as bigint) as errors
from candidates
where errors >= min_errors
{% endif %}
