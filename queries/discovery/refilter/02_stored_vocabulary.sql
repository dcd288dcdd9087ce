-- Other thresholds: which tags did a stored run count?
-- reads: prime.vocabulary
-- parameter schema: the quoted schema of the results
-- parameter run_id: the stored run
-- returns: tag_id, tag
select tag_id, tag
from {{ schema }}.vocabulary
where run_id = {{ run_id }}
