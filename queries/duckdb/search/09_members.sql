-- Which images carry all tags of a surviving set? As bit strings, a block of images each.
-- reads: size 1: tagged, classes, candidates_1; larger: members_1, members_(size - 1),
--    candidates_size
-- parameter size: tags in a set
-- parameter error_block: misclassified images in a block
-- parameter right_block: correctly classified images in a block
-- returns: class_id, tag_1 ... tag_size, block, error_bits and right_bits (one bit for each
--    misclassified and each correctly classified image of the block, set where it carries all
--    tags; null for none)
{% set tags = range(1, size + 1) %}
{% if size == 1 %}
with survivors as (
    select
        t.class_id as class_id,
        t.tag_id as tag_1,
        t.error as error,
        -- Errors come first in a class, so the right images start where the errors end.
        t.image_no - case when t.error = 1 then 0 else c.errors end as position,
        case when t.error = 1 then {{ error_block }} else {{ right_block }} end as block_size
    from tagged as t
    inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
    inner join classes as c on c.class_id = t.class_id
)

select
    class_id,
    tag_1,
    cast(position // block_size as integer) as block,
    -- Constant bounds, because bitstring_agg takes no others.
    bitstring_agg(cast(position % block_size as integer), 0, {{ error_block - 1 }})
        filter (where error = 1) as error_bits,
    bitstring_agg(cast(position % block_size as integer), 0, {{ right_block - 1 }})
        filter (where error = 0) as right_bits
from survivors
group by class_id, tag_1, cast(position // block_size as integer)
{% else %}
select
    s.class_id as class_id,
{% for i in tags %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    m.block as block,
    m.error_bits & t.error_bits as error_bits,
    m.right_bits & t.right_bits as right_bits
from candidates_{{ size }} as s
inner join members_{{ size - 1 }} as m
    on m.class_id = s.class_id
{% for i in tags if i < size %}
    and m.tag_{{ i }} = s.tag_{{ i }}
{% endfor %}
inner join members_1 as t
    on t.class_id = s.class_id
    and t.tag_1 = s.tag_{{ size }}
    and t.block = m.block
{% endif %}
