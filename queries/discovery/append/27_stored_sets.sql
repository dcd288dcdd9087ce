-- Which sets of this many tags did the run count in the classes whose counts are kept?
-- reads: prime.tag_sets, classes, open_classes, tag_names (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size (as numbered now), images, errors (as stored)
{% set tags = range(1, size + 1) %}
select
    c.class_id as class_id,
{% for i in tags %}
    n_{{ i }}.tag_id as tag_{{ i }},
{% endfor %}
    s.images as images,
    s.errors as errors
from {{ schema }}.tag_sets as s
inner join classes as c on c.class_name = s.class_name
left join open_classes as w on w.class_id = c.class_id
{% for i in tags %}
inner join tag_names as n_{{ i }} on n_{{ i }}.name = s.tag_{{ i }}
{% endfor %}
where s.run_id = {{ run_id }} and s.tag_count = {{ size }} and w.class_id is null
