-- How many failure modes did chance alone give, with the errors shuffled within their classes?
-- reads: prime.shuffles, runs
-- asked as: shuffles
-- returns: shuffle, failure_modes, smallest_p (of its failure modes), seed; no rows until asked for:
--    `prime-sql chance --shuffles 20`
select
    s.shuffle as shuffle,
    s.failure_modes as failure_modes,
    s.smallest_p as smallest_p,
    s.seed as seed
from prime.shuffles as s
inner join runs as r on r.run_id = s.run_id
order by s.shuffle
