-- Which images carry all tags of a surviving set?
-- reads: size 1: tagged, candidates_1; larger: members_1, members_(size - 1), candidates_size
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, image_no, error; one row for each set and image
{% set tags = range(1, size + 1) %}
{% if size == 1 %}
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    t.image_no as image_no,
    t.error as error
from tagged as t
inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
{% else %}
select
    s.class_id as class_id,
{% for i in tags %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    m.image_no as image_no,
    m.error as error
from candidates_{{ size }} as s
inner join members_{{ size - 1 }} as m
    on m.class_id = s.class_id
{% for i in tags if i < size %}
    and m.tag_{{ i }} = s.tag_{{ i }}
{% endfor %}
inner join members_1 as t
    on t.class_id = s.class_id
    and t.tag_1 = s.tag_{{ size }}
    and t.image_no = m.image_no
{% endif %}
