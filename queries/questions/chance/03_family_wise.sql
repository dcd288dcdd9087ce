-- In what share of the shuffles did chance give a failure mode that is at least as unlikely as this
-- one?
-- reads: prime.shuffles
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- returns: nothing; fills family_wise_p, where the errors as they are count as one more shuffle
update {{ schema }}.failure_mode_chance
set family_wise_p = (
    select
        (1.0 + sum(case when s.smallest_p <= p_value * (1 + 1e-9) then 1 else 0 end))
        / (1 + count(*))
    from {{ schema }}.shuffles as s
    where s.run_id = {{ run_id }}
)
where run_id = {{ run_id }}
