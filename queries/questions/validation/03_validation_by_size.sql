-- Do more tags mean harder images, on unseen data as well? (PRIME, Table 2)
-- reads: failure_modes, validations
-- returns: tag_count, modes, decided, holds; over the decided ones mean_drop (as found) and
--    mean_unseen_drop
select
    m.tag_count as tag_count,
    cast(count(*) as bigint) as modes,
    cast(sum(case when v.verdict <> 'undecided' then 1 else 0 end) as bigint) as decided,
    cast(sum(case when v.verdict = 'holds' then 1 else 0 end) as bigint) as holds,
    avg(case when v.verdict <> 'undecided' then m.accuracy_drop end) as mean_drop,
    avg(case when v.verdict <> 'undecided' then v.accuracy_drop end) as mean_unseen_drop
from failure_modes as m
inner join validations as v on v.mode_id = m.mode_id
group by m.tag_count
order by m.tag_count desc
