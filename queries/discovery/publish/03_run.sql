-- Make a run visible: its row in runs, the last statement of the transaction.
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter counted_run_id: the run whose counts it uses
-- parameter created_at: UTC
-- parameter status: complete, or unpublished until its job has published its outputs
-- parameter version: of prime_sql
-- parameter options: JSON
-- parameter sources: JSON
-- parameter warnings: JSON
-- parameter note: why there are no failure modes, or none
-- parameter row_counts: JSON
-- parameter seconds: JSON
-- parameter job: name of the job that made it, or none
-- returns: nothing; adds a row to runs
insert into {{ schema }}.runs values (
    {{ run_id }},
    {{ counted_run_id }},
    cast({{ created_at | literal }} as timestamp),
    {{ status | literal }},
    {{ version | literal }},
    {{ options | literal }},
    {{ sources | literal }},
    {{ warnings | literal }},
    {{ note | literal }},
    {{ row_counts | literal }},
    {{ seconds | literal }},
    {{ job | literal }}
)
