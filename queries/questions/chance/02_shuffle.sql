-- How many failure modes did one shuffle of the errors give, and how unlikely was the best of them?
-- reads: failure_modes (of a search on shuffled errors), p_values
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run whose errors were shuffled
-- parameter shuffle: number of the shuffle, from 1
-- parameter seed: the seed of the shuffle
-- returns: nothing; adds a row to shuffles
insert into {{ schema }}.shuffles
select
    {{ run_id }} as run_id,
    {{ shuffle }} as shuffle,
    {{ seed }} as seed,
    (select count(*) from failure_modes) as failure_modes,
    (select min(p_value) from p_values) as smallest_p
