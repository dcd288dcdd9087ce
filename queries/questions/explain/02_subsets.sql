-- How accurate is the model on every subset of a mode's tags? (PRIME, Fig. 3, Tables 1 and 5)
-- reads: failure_modes, failure_mode_tags, tag_sets, classes
-- parameter mode_id: the mode
-- parameter largest: how many tag columns there are
-- returns: tags ("" for the class itself), tag_count, images, errors, accuracy, accuracy_drop; one
--    row for each subset, from the class to the mode. Every subset of a counted set was counted.
with mode_tags as (
    select
        m.class_name as class_name,
        case when t.present then t.tag else 'not ' || t.tag end as name
    from failure_modes as m
    inner join failure_mode_tags as t on t.mode_id = m.mode_id
    where m.mode_id = {{ mode_id | literal }}
),

subsets as (
    select
        '' as tags,
        0 as tag_count,
        c.images as images,
        c.errors as errors,
        c.accuracy as accuracy,
        c.accuracy as class_accuracy
    from classes as c
    inner join failure_modes as m on m.class_name = c.class_name
    where m.mode_id = {{ mode_id | literal }}

    union all

    select
        s.tags as tags,
        s.tag_count as tag_count,
        s.images as images,
        s.errors as errors,
        s.accuracy as accuracy,
        c.accuracy as class_accuracy
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
    inner join failure_modes as m on m.class_name = s.class_name
    where
        m.mode_id = {{ mode_id | literal }}
        and s.tag_count <= m.tag_count
{% for i in range(1, largest + 1) %}
        and (s.tag_{{ i }} is null or s.tag_{{ i }} in (select name from mode_tags))
{% endfor %}
)

select
    tags,
    tag_count,
    images,
    errors,
    accuracy,
    class_accuracy - accuracy as accuracy_drop
from subsets
order by tag_count, tags, images, errors
