-- Which images carry all tags of a kept set?
-- reads: kept_size, frequent
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, image_no
{% set tags = range(1, size + 1) %}
select
    s.class_id as class_id,
{% for i in tags %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    t.image_no as image_no
from kept_{{ size }} as s
inner join frequent as t
    on t.class_id = s.class_id
    and t.tag_id in ({% for i in tags %}s.tag_{{ i }}{{ "" if loop.last else ", " }}{% endfor %})
group by
    s.class_id,
{% for i in tags %}
    s.tag_{{ i }},
{% endfor %}
    t.image_no
having count(*) = {{ size }}
