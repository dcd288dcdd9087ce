-- Which images carry all tags of a surviving set? As bit strings, a block of images each.
-- reads: size 1: tagged, classes, candidates_1; larger: members_1, members_(size - 1),
--    candidates_size
-- parameter size: tags in a set
-- parameter error_block: misclassified images in a block
-- parameter right_block: correctly classified images in a block
-- returns: class_id, tag_1 ... tag_size, error (1 or 0), block, bits (one for each image of the
--    block, set where the image carries all tags); no row for a block without a set bit at size 1
{% set tags = range(1, size + 1) %}
{% if size == 1 %}
-- Blocks of fixed length: bitstring_agg needs constant bounds, and one long class must not
-- lengthen the bit strings of all others.
with survivors as (
    select
        t.class_id as class_id,
        t.tag_id as tag_1,
        t.error as error,
        -- Errors come first in a class, so the right images start where the errors end.
        t.image_no - case when t.error = 1 then 0 else c.errors end as position
    from tagged as t
    inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
    inner join classes as c on c.class_id = t.class_id
)

select
    class_id,
    tag_1,
    error,
    cast(position // {{ error_block }} as integer) as block,
    bitstring_agg(cast(position % {{ error_block }} as integer), 0, {{ error_block - 1 }}) as bits
from survivors
where error = 1
group by class_id, tag_1, error, block

union all

select
    class_id,
    tag_1,
    error,
    cast(position // {{ right_block }} as integer) as block,
    bitstring_agg(cast(position % {{ right_block }} as integer), 0, {{ right_block - 1 }}) as bits
from survivors
where error = 0
group by class_id, tag_1, error, block
{% else %}
select
    s.class_id as class_id,
{% for i in tags %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    m.error as error,
    m.block as block,
    m.bits & t.bits as bits
from candidates_{{ size }} as s
inner join members_{{ size - 1 }} as m
    on m.class_id = s.class_id
{% for i in tags if i < size %}
    and m.tag_{{ i }} = s.tag_{{ i }}
{% endfor %}
inner join members_1 as t
    on t.class_id = s.class_id
    and t.tag_1 = s.tag_{{ size }}
    and t.error = m.error
    and t.block = m.block
{% endif %}
