-- Which facts that a gate may name are known about each failure mode of a run?
-- reads: failure_modes, failure_mode_chance, validations; changes (if there is a previous run)
-- parameter has_changes: whether there is one
-- returns: the columns of failure_modes; accuracy_low, accuracy_high, p_value, q_value and
--    family_wise_p (see failure_mode_chance); verdict, unseen_images, unseen_errors, unseen_accuracy
--    and unseen_accuracy_drop (see validations); status and accuracy_change (see
--    questions/compare/06_changes); worst first. Null if not known; undecided counts as not known.
with decided as (
    select *
    from validations
    where verdict <> 'undecided'
)

select
    m.*,
    c.accuracy_low as accuracy_low,
    c.accuracy_high as accuracy_high,
    c.p_value as p_value,
    c.q_value as q_value,
    c.family_wise_p as family_wise_p,
    v.verdict as verdict,
    v.images as unseen_images,
    v.errors as unseen_errors,
    v.accuracy as unseen_accuracy,
    v.accuracy_drop as unseen_accuracy_drop,
{% if has_changes %}
    d.status as status,
    d.accuracy_change as accuracy_change
{% else %}
    cast(null as varchar) as status,
    cast(null as double) as accuracy_change
{% endif %}
from failure_modes as m
left join failure_mode_chance as c on c.mode_id = m.mode_id
left join decided as v on v.mode_id = m.mode_id
{% if has_changes %}
left join changes as d on d.mode_id = m.mode_id and d.status <> 'undecided'
{% endif %}
order by m.excess_errors desc, m.class_name, m.tags, m.mode_id
