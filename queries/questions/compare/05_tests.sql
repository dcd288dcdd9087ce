-- If nothing changed, how likely is a change in accuracy that is at least as unlikely as this one?
-- reads: sides, numbers
-- returns: mode_id, p_value (Fisher's exact test, two-sided), q_value (Benjamini and Hochberg, over
--    all modes compared); one row for each mode compared
with tables as (
    select
        mode_id,
        images_a,
        images_b,
        errors_a,
        errors_a + errors_b as errors,
        greatest(0, errors_a + errors_b - images_b) as fewest,
        least(errors_a + errors_b, images_a) as most
    from sides
    where compared = 1
),

-- Every number of errors that A could have, given the errors of both together: a hypergeometric
-- distribution, computed from the ratio of each probability to the one before it.
ratios as (
    select
        t.mode_id as mode_id,
        t.errors_a as observed,
        n.number as errors_a,
        case
            when n.number = t.fewest then cast(0 as double)
            else
                ln(cast(t.errors - n.number + 1 as double))
                + ln(cast(t.images_a - n.number + 1 as double))
                - ln(cast(n.number as double))
                - ln(cast(t.images_b - t.errors + n.number as double))
        end as log_ratio
    from tables as t
    inner join numbers as n on n.number >= t.fewest and n.number <= t.most
),

logs as (
    select
        mode_id,
        observed,
        errors_a,
        sum(log_ratio) over (
            partition by mode_id order by errors_a rows between unbounded preceding and current row
        ) as log_weight
    from ratios
),

scales as (
    select
        mode_id,
        max(log_weight) as largest,
        max(case when errors_a = observed then log_weight end) as observed
    from logs
    group by mode_id
),

p_values as (
    -- 1e-7: equal probabilities count as equal, however they are rounded.
    select
        l.mode_id as mode_id,
        sum(case when l.log_weight <= s.observed + 1e-7 then exp(l.log_weight - s.largest) else 0 end)
            / sum(exp(l.log_weight - s.largest)) as p_value
    from logs as l
    inner join scales as s on s.mode_id = l.mode_id
    group by l.mode_id
),

ranked as (
    select
        mode_id,
        p_value,
        row_number() over (order by p_value, mode_id) as place,
        count(*) over () as tests
    from p_values
)

select
    mode_id,
    p_value,
    min(p_value * tests / place) over (
        order by place rows between current row and unbounded following
    ) as q_value
from ranked
