-- How did each failure mode do in each of the last runs?
-- reads: places (place, mode_id and status of each mode), wanted (their tags), counted (their counts
--    in each run, with its run_id), dates (run_id and created_at of each run)
-- returns: place, status, mode_id, class_name, tags, tag_count, run_id, created_at, is_mode, images,
--    errors, accuracy, class_accuracy, accuracy_drop; one row for each mode and run
with modes as (
    select mode_id, class_name, tags, tag_count
    from wanted
    group by mode_id, class_name, tags, tag_count
)

select
    p.place as place,
    p.status as status,
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
    d.run_id as run_id,
    d.created_at as created_at,
    c.is_mode = 1 as is_mode,
    c.images as images,
    c.errors as errors,
    1 - cast(c.errors as double) / nullif(c.images, 0) as accuracy,
    1 - cast(c.class_errors as double) / c.class_images as class_accuracy,
    cast(c.errors as double) / nullif(c.images, 0)
        - cast(c.class_errors as double) / c.class_images as accuracy_drop
from places as p
inner join modes as m on m.mode_id = p.mode_id
inner join counted as c on c.mode_id = p.mode_id
inner join dates as d on d.run_id = c.run_id
order by p.place, d.run_id
