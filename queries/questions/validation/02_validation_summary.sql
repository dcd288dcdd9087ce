-- Do the failure modes, all together, hold on unseen data? (PRIME, 4.1 and Fig. 9)
-- reads: failure_modes, validations
-- parameter min_drop: smallest accuracy drop of a failure mode of the run
-- returns: one row: modes, decided, holds, fails, undecided; over the decided ones correlation
--    (Pearson, of the drop as found and unseen; null where there are fewer than two or all drops
--    are the same), share_reached (whose unseen drop reaches min_drop - 0.05), mean_drop,
--    mean_unseen_drop
with decided_modes as (
    select
        m.accuracy_drop as found_drop,
        v.accuracy_drop as unseen_drop
    from failure_modes as m
    inner join validations as v on v.mode_id = m.mode_id
    where v.verdict <> 'undecided'
),

means as (
    select
        avg(found_drop) as found_mean,
        avg(unseen_drop) as unseen_mean,
        max(found_drop) - min(found_drop) as found_range,
        max(unseen_drop) - min(unseen_drop) as unseen_range,
        avg(case when unseen_drop >= {{ min_drop }} - 0.05 - 1e-9 then 1.0 else 0.0 end)
            as share_reached
    from decided_modes
),

sums as (
    select
        sum((d.found_drop - a.found_mean) * (d.unseen_drop - a.unseen_mean)) as products,
        sum((d.found_drop - a.found_mean) * (d.found_drop - a.found_mean)) as found_squares,
        sum((d.unseen_drop - a.unseen_mean) * (d.unseen_drop - a.unseen_mean)) as unseen_squares
    from decided_modes as d
    cross join means as a
),

verdicts as (
    select
        cast(count(*) as bigint) as modes,
        cast(coalesce(sum(case when verdict <> 'undecided' then 1 else 0 end), 0) as bigint) as decided,
        cast(coalesce(sum(case when verdict = 'holds' then 1 else 0 end), 0) as bigint) as holds,
        cast(coalesce(sum(case when verdict = 'fails' then 1 else 0 end), 0) as bigint) as fails,
        cast(coalesce(sum(case when verdict = 'undecided' then 1 else 0 end), 0) as bigint) as undecided
    from validations
)

select
    v.modes as modes,
    v.decided as decided,
    v.holds as holds,
    v.fails as fails,
    v.undecided as undecided,
    -- Drops that differ only by rounding have no correlation.
    case
        when a.found_range > 1e-9 and a.unseen_range > 1e-9
            then s.products / (sqrt(s.found_squares) * sqrt(s.unseen_squares))
    end as correlation,
    cast(a.share_reached as double) as share_reached,
    a.found_mean as mean_drop,
    a.unseen_mean as mean_unseen_drop
from verdicts as v
cross join means as a
cross join sums as s
