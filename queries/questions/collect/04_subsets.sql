-- How accurate is the model on every subset of the tags of these modes? (PRIME, Fig. 3)
-- reads: detailed, failure_modes, failure_mode_tags, tag_sets, classes
-- parameter largest: how many tag columns there are
-- returns: card, tags ("" for the class itself), tag_count, images, errors, accuracy; one row for
--    each mode and counted subset, from the class to the mode
with mode_tags as (
    select
        d.card as card,
        m.class_name as class_name,
        m.tag_count as tag_count,
        case when t.present then t.tag else 'not ' || t.tag end as name
    from detailed as d
    inner join failure_modes as m on m.mode_id = d.mode_id
    inner join failure_mode_tags as t on t.mode_id = m.mode_id
    group by d.card, m.class_name, m.tag_count, t.present, t.tag
),

subsets as (
    select
        d.card as card,
        '' as tags,
        0 as tag_count,
        c.images as images,
        c.errors as errors,
        c.accuracy as accuracy
    from detailed as d
    inner join failure_modes as m on m.mode_id = d.mode_id
    inner join classes as c on c.class_name = m.class_name

    union all

    select
        t1.card as card,
        s.tags as tags,
        s.tag_count as tag_count,
        s.images as images,
        s.errors as errors,
        s.accuracy as accuracy
    from mode_tags as t1
    inner join tag_sets as s on s.class_name = t1.class_name and s.tag_1 = t1.name
{% for i in range(2, largest + 1) %}
    left join mode_tags as t{{ i }} on t{{ i }}.card = t1.card and t{{ i }}.name = s.tag_{{ i }}
{% endfor %}
    where
        s.tag_count <= t1.tag_count
{% for i in range(2, largest + 1) %}
        and (s.tag_{{ i }} is null or t{{ i }}.name is not null)
{% endfor %}
)

select
    card,
    tags,
    tag_count,
    images,
    errors,
    accuracy
from subsets
order by card, tag_count, tags, images, errors
