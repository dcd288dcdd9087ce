-- What is known about every failure mode: how sure it is, and whether it holds on unseen data?
-- reads: failure_modes, failure_mode_chance, families, with validated validations
-- parameter validated: whether the run was checked on unseen data
-- returns: place (by excess errors, from 1), the columns of failure_modes, accuracy_low and
--    accuracy_high (Wilson interval, 95 %), p_value, q_value (null until asked for), hidden (whether
--    it is a near-duplicate), representative_id, representative_tags, unseen_images,
--    unseen_accuracy, unseen_accuracy_drop, verdict (the last four null where not validated)
select
    f.place as place,
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
    m.images as images,
    m.errors as errors,
    m.accuracy as accuracy,
    m.class_images as class_images,
    m.class_errors as class_errors,
    m.class_accuracy as class_accuracy,
    m.accuracy_drop as accuracy_drop,
    m.excess_errors as excess_errors,
    m.error_coverage as error_coverage,
    c.accuracy_low as accuracy_low,
    c.accuracy_high as accuracy_high,
    c.p_value as p_value,
    c.q_value as q_value,
    f.hidden as hidden,
    f.representative_id as representative_id,
    f.representative_tags as representative_tags,
{% if validated %}
    v.images as unseen_images,
    v.accuracy as unseen_accuracy,
    v.accuracy_drop as unseen_accuracy_drop,
    v.verdict as verdict
{% else %}
    cast(null as bigint) as unseen_images,
    cast(null as double) as unseen_accuracy,
    cast(null as double) as unseen_accuracy_drop,
    cast(null as varchar) as verdict
{% endif %}
from failure_modes as m
inner join families as f on f.mode_id = m.mode_id
left join failure_mode_chance as c on c.mode_id = m.mode_id
{% if validated %}
left join validations as v on v.mode_id = m.mode_id
{% endif %}
order by f.place
