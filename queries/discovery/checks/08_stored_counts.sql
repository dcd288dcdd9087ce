-- In which classes could a failure mode have fewer errors than the sets that were counted?
-- reads: classes (of the session, with counted_min_errors)
-- parameter min_images: fewest images of a failure mode
-- returns: one row: classes, class_name of an example, counted and needed (errors)
with narrow as (
    select
        class_name,
        counted_min_errors,
        min_errors,
        row_number() over (order by class_name) as place
    from classes
    where
        min_errors < counted_min_errors
        and errors >= min_errors
        and images >= {{ min_images }}
)

select
    count(*) as classes,
    min(case when place = 1 then class_name end) as class_name,
    min(case when place = 1 then counted_min_errors end) as counted,
    min(case when place = 1 then min_errors end) as needed
from narrow
