-- How much memory does counting the tag sets of each class take?
-- reads: candidates_1, classes
-- returns: class_id, bytes (an estimate); one row for each class with a candidate, in their order
with sized as (
    select
        s.class_id as class_id,
        c.images as images,
        count(*) as tags,
        sum(s.errors) as tagged_errors,
        -- Pairs of tags that the errors carry. Tags cluster on some errors, so this allows for
        -- twice as many as if each had the same number of tags.
        least(
            cast(count(*) as double) * (count(*) - 1) / 2,
            cast(sum(s.errors) as double) * sum(s.errors) / c.errors
        ) as pairs
    from candidates_1 as s
    inner join classes as c on c.class_id = s.class_id
    group by s.class_id, c.images, c.errors
)

select
    class_id,
    -- Rows of a hash table, those of its groups, and the bits of each tag, read and written.
    cast(tagged_errors * 32 + pairs * 96 + cast(tags as double) * images / 4 as bigint) as bytes
from sized
order by class_id
