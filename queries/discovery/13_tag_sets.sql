-- How accurate is the model on each counted tag set, and how necessary is each of its tags?
-- reads: counts_1 ... counts_size, classes, tag_names
-- parameter sizes: the numbers of tags in a set
-- parameter largest: how many tag columns to return
-- returns: class_name, tags ("black + branch + not water", sorted, absent ones last), tag_count, tag_1
--    ... tag_6 (null beyond tag_count), images, errors, accuracy, necessity_margin (the least by which
--    accuracy rises when one tag is left out); one row for each counted tag set
{% for size in sizes %}
{% set tags = range(1, size + 1) %}
{% if not loop.first %}

union all

{% endif %}
select
    c.class_name as class_name,
    {% for i in tags %}{{ "" if loop.first else " || ' + ' || " }}n_{{ i }}.name{% endfor %} as tags,
    {{ size }} as tag_count,
{% for i in range(1, largest + 1) %}
    {{ "n_%d.name" % i if i <= size else "cast(null as varchar)" }} as tag_{{ i }},
{% endfor %}
    s.images as images,
    s.errors as errors,
    cast(s.images - s.errors as double) / s.images as accuracy,
{% if size == 1 %}
    c.accuracy - cast(s.images - s.errors as double) / s.images as necessity_margin
{% else %}
    least(
{% for left_out in tags %}
        cast(without_{{ left_out }}.images - without_{{ left_out }}.errors as double)
            / without_{{ left_out }}.images{{ "" if loop.last else "," }}
{% endfor %}
    ) - cast(s.images - s.errors as double) / s.images as necessity_margin
{% endif %}
from counts_{{ size }} as s
inner join classes as c on c.class_id = s.class_id
{% if size > 1 %}
{% for left_out in tags %}
inner join counts_{{ size - 1 }} as without_{{ left_out }}
    on without_{{ left_out }}.class_id = s.class_id
{% for i in tags if i != left_out %}
    and without_{{ left_out }}.tag_{{ loop.index }} = s.tag_{{ i }}
{% endfor %}
{% endfor %}
{% endif %}
{# Every tag has its name, so inner joins would give the same. But planners try every order of those, which
   takes longer with ten tables than the rest of a small search. #}
{% for i in tags %}
left join tag_names as n_{{ i }} on n_{{ i }}.tag_id = s.tag_{{ i }}
{% endfor %}
{% endfor %}
