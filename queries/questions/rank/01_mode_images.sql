-- Which images does each failure mode have, in numbers?
-- reads: prime.failure_mode_members, prime.outcomes, runs
-- parameter schema: the quoted schema of the results
-- returns: mode_id, class_id, image_no (both as in outcomes), error; one row for each mode and image
select
    i.mode_id as mode_id,
    i.class_id as class_id,
    i.image_no as image_no,
    o.error as error
from {{ schema }}.failure_mode_members as i
inner join runs as r on r.run_id = i.run_id
inner join {{ schema }}.outcomes as o
    on o.run_id = i.counted_run_id and o.class_id = i.class_id and o.image_no = i.image_no
