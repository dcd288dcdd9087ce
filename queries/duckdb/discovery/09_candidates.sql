-- Which sets of this many tags have enough errors to be, or lead to, a failure mode?
-- reads: size 1: tagged, classes; pairs by rows: tagged, candidates_1, classes; else
--    members_(size - 1), classes
-- parameter size: tags in a set
-- parameter max_absent: how many of them may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- parameter error_words = 1: words for the misclassified images of the largest class
-- parameter pairs_by_rows = True: whether pairs are counted by rows; `pairs` says what is less work
-- returns: class_id, tag_1 ... tag_size (rising), errors; one row for each surviving tag set
{% from 'definitions.jinja' import bits_set %}
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
{% elif size == 2 and pairs_by_rows %}
-- With many tags, most pairs never occur, and the time to try them all grows with the square of the
-- number of tags.
with errors as (
    select
        t.class_id as class_id,
        t.image_no as image_no,
        t.tag_id as tag_id
    from tagged as t
    inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
    where t.error = 1
)

select
    a.class_id as class_id,
    a.tag_id as tag_1,
    b.tag_id as tag_2,
    count(*) as errors
from errors as a
inner join errors as b
    on b.class_id = a.class_id
    and b.image_no = a.image_no
    and b.tag_id > a.tag_id
inner join classes as c on c.class_id = a.class_id
{% if max_absent == 1 %}
where a.tag_id <= {{ last_tag }}
{% endif %}
group by a.class_id, a.tag_id, b.tag_id, c.min_errors
having count(*) >= c.min_errors
{% else %}
-- Two survivors that differ in their last tag make a candidate; the bits set in both are its
-- errors. As in the portable plan, every subset of a survivor survives.
with candidates as (
    select
        a.class_id as class_id,
{% for i in tags if i < size %}
        a.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        b.tag_{{ size - 1 }} as tag_{{ size }},
        c.min_errors as min_errors,
        {{ bits_set('a.errors_# & b.errors_#', error_words) }} as errors
    from members_{{ size - 1 }} as a
    inner join members_{{ size - 1 }} as b
        on b.class_id = a.class_id
{% for i in tags if i < size - 1 %}
        and b.tag_{{ i }} = a.tag_{{ i }}
{% endfor %}
        and b.tag_{{ size - 1 }} > a.tag_{{ size - 1 }}
    inner join classes as c on c.class_id = a.class_id
{% if 0 < max_absent < size %}
    -- Absent tags come last: as this one is present, at most this many follow.
    where a.tag_{{ size - max_absent }} <= {{ last_tag }}
{% endif %}
)

select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    errors
from candidates
where errors >= min_errors
{% endif %}
