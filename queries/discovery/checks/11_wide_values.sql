-- Which column of a wide tags table holds other values than true and false?
-- reads: present_values
-- returns: tag, rows (values that are neither), image_id and value of an example; no row if there is none
with odd as (
    select
        tag,
        image_id,
        value,
        count(*) over (partition by tag) as rows_of_tag,
        row_number() over (order by tag, image_id, value) as place
    from present_values
    where is_present = 0
)

select
    tag,
    rows_of_tag,
    image_id,
    value
from odd
where place = 1
