-- Which images carry all tags of a surviving set? As bit strings, one row for each set.
-- reads: size 1: tagged, classes, candidates_1; larger: members_1, members_(size - 1),
--    candidates_size
-- parameter size: tags in a set
-- parameter most_errors: misclassified images in the largest class
-- parameter most_right: correctly classified images in the largest class
-- returns: class_id, tag_1 ... tag_size, error_bits and right_bits (one bit for each misclassified
--    and each correctly classified image of the class, set where it carries all tags; null where
--    no image does)
{% set tags = range(1, size + 1) %}
{% if size == 1 %}
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    -- Errors come first in a class, so the right images start where the errors end. Constant
    -- bounds, because bitstring_agg takes no others.
    bitstring_agg(t.image_no, 0, {{ most_errors - 1 }}) filter (where t.error = 1) as error_bits,
    bitstring_agg(cast(t.image_no - c.errors as integer), 0, {{ most_right - 1 }})
        filter (where t.error = 0) as right_bits
from tagged as t
inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
inner join classes as c on c.class_id = t.class_id
group by t.class_id, t.tag_id
{% else %}
select
    s.class_id as class_id,
{% for i in tags %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
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
{% endif %}
