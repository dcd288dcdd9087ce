-- How sure is each failure mode?
-- reads: prime.failure_modes, p_values
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter eligible: how many tag sets could have been failure modes; none for no q-values
-- returns: run_id, mode_id, accuracy_low and accuracy_high (Wilson interval, 95 %), p_value, q_value
--    (Benjamini and Hochberg; null without eligible), family_wise_p (null:
--    questions/chance/03_family_wise fills it)
{% from 'definitions.jinja' import wilson %}
with ranked as (
    -- Sets that were never counted have too few errors to come before a failure mode, so they
    -- increase the number of tests but change no rank.
    select
        class_images,
        class_errors,
        images,
        errors,
        p_value,
{% if eligible is none %}
        cast(null as double) as rate
{% else %}
        {{ eligible }} * p_value / sum(tag_sets) over (order by p_value) as rate
{% endif %}
    from p_values
),

adjusted as (
    select
        class_images,
        class_errors,
        images,
        errors,
        p_value,
        min(rate) over (order by p_value desc) as rate
    from ranked
)

select
    m.run_id as run_id,
    m.mode_id as mode_id,
    {{ wilson('m.errors', 'm.images', '-') }} as accuracy_low,
    {{ wilson('m.errors', 'm.images', '+') }} as accuracy_high,
    a.p_value as p_value,
    case when a.rate > 1 then 1 else a.rate end as q_value,
    cast(null as double) as family_wise_p
from {{ schema }}.failure_modes as m
inner join adjusted as a
    on a.class_images = m.class_images
    and a.class_errors = m.class_errors
    and a.images = m.images
    and a.errors = m.errors
where m.run_id = {{ run_id }}
