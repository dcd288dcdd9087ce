-- Which failure mode explains most of the errors that are left?
-- reads: errors_0, errors_1, …
-- parameter pick: number of the pick, from 1
-- returns: pick, place, new_errors; one row, the better-ranked mode if several explain as many,
--    or none if no error is left
select
    {{ pick }} as pick,
    place,
    cast(count(*) as bigint) as new_errors
from errors_{{ pick - 1 }}
group by place
order by count(*) desc, place
limit 1
