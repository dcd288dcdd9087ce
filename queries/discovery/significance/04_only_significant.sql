-- Keep the failure modes that are unlikely to be chance.
-- reads: prime.failure_mode_chance
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter max_q: largest q-value
-- returns: nothing; deletes the other failure modes of the run
delete from {{ schema }}.failure_mode_tags
where run_id = {{ run_id }} and mode_id in (
    select mode_id from {{ schema }}.failure_mode_chance
    where run_id = {{ run_id }} and q_value > {{ max_q }} + 1e-9
);

delete from {{ schema }}.validations
where run_id = {{ run_id }} and mode_id in (
    select mode_id from {{ schema }}.failure_mode_chance
    where run_id = {{ run_id }} and q_value > {{ max_q }} + 1e-9
);

delete from {{ schema }}.failure_modes
where run_id = {{ run_id }} and mode_id in (
    select mode_id from {{ schema }}.failure_mode_chance
    where run_id = {{ run_id }} and q_value > {{ max_q }} + 1e-9
);

delete from {{ schema }}.failure_mode_chance
where run_id = {{ run_id }} and q_value > {{ max_q }} + 1e-9
