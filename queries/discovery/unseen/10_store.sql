-- Store the verdicts of a run, replacing earlier ones.
-- reads: verdicts
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter created_at: UTC
-- parameter sources: JSON
-- parameter condition: SQL, or none
-- parameter min_unseen_images: with fewer images a mode is undecided
-- parameter tolerance: by how much the drop may fall short
-- parameter images: unseen images
-- parameter warnings: JSON
-- returns: nothing; replaces the rows of the run in validations and validation_runs
delete from {{ schema }}.validations where run_id = {{ run_id }};

delete from {{ schema }}.validation_runs where run_id = {{ run_id }};

insert into {{ schema }}.validations
select
    {{ run_id }},
    mode_id,
    images,
    errors,
    accuracy,
    accuracy_low,
    accuracy_high,
    class_images,
    class_errors,
    class_accuracy,
    accuracy_drop,
    verdict
from verdicts
order by mode_id;

insert into {{ schema }}.validation_runs values (
    {{ run_id }},
    cast({{ created_at | literal }} as timestamp),
    {{ sources | literal }},
    {{ condition | literal }},
    {{ min_unseen_images }},
    {{ tolerance }},
    {{ images }},
    {{ warnings | literal }}
)
