-- Which image of which class is an error, and where are its tags?
-- reads: predictions, classes, retagged
-- returns: the columns of outcomes in a search, and stored_class and stored_no (null where the new tags
--    count)
select
    c.class_id as class_id,
    -- As in a search: errors first.
    cast(row_number() over (
        partition by c.class_id order by p.error desc, p.image_id
    ) - 1 as integer) as image_no,
    p.image_id as image_id,
    p.label as label,
    p.prediction as prediction,
    p.error as error,
    case when r.image_id is null then p.stored_class end as stored_class,
    case when r.image_id is null then p.stored_no end as stored_no
from predictions as p
inner join classes as c on c.class_name = p.class_name
left join retagged as r on r.image_id = p.image_id
