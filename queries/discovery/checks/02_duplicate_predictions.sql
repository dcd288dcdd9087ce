-- Which images are in a class more than once?
-- reads: predictions
-- returns: one row: images, surplus_rows, image_id and class_name of an example, its copies
with duplicates as (
    select class_name, image_id, count(*) as copies
    from predictions
    group by class_name, image_id
    having count(*) > 1
),

ordered as (
    select
        class_name,
        image_id,
        copies,
        row_number() over (order by class_name, image_id) as place
    from duplicates
)

select
    count(*) as images,
    sum(o.copies - 1) as surplus_rows,
    min(case when o.place = 1 then o.image_id end) as image_id,
    min(case when o.place = 1 then o.class_name end) as class_name,
    min(case when o.place = 1 then o.copies end) as copies
from ordered as o
