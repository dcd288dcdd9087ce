-- How many pairs of tags do the errors carry, and how many are there in all?
-- reads: candidates_1, classes
-- returns: carried (an estimate, as if each error of a class had the same number of tags), tried
with sized as (
    select
        c.errors as errors,
        cast(count(*) as double) as tags,
        cast(sum(s.errors) as double) as tagged_errors
    from candidates_1 as s
    inner join classes as c on c.class_id = s.class_id
    group by s.class_id, c.errors
)

select
    coalesce(sum(tagged_errors * (tagged_errors / errors - 1) / 2), 0) as carried,
    coalesce(sum(tags * (tags - 1) / 2), 0) as tried
from sized
