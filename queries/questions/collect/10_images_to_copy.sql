-- Which images does one failure mode have? The query as a report shows it, ready to copy.
-- reads: prime.failure_mode_images
-- parameter schema: the schema of the results, quoted if it must be
-- parameter run_id: the run
-- parameter mode_id: the mode
-- returns: image_id, label, prediction, error (1 wrong, 0 right); errors first
select
    image_id,
    label,
    prediction,
    error
from {{ schema }}.failure_mode_images
where run_id = {{ run_id }} and mode_id = {{ mode_id | literal }}
order by error desc, image_id
