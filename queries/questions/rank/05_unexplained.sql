-- Which errors are left after a pick?
-- reads: errors_0, errors_1, …, picks
-- parameter pick: the last one
-- returns: place, class_id, image_no, without the errors of the mode that was picked
with explained as (
    select
        e.class_id as class_id,
        e.image_no as image_no
    from errors_{{ pick - 1 }} as e
    inner join picks as p on p.place = e.place and p.pick = {{ pick }}
)

select
    e.place as place,
    e.class_id as class_id,
    e.image_no as image_no
from errors_{{ pick - 1 }} as e
left join explained as x on x.class_id = e.class_id and x.image_no = e.image_no
where x.image_no is null
