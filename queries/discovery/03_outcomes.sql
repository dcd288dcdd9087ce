-- Which image of which class is an error?
-- reads: predictions, classes
-- returns: class_id, image_no (from 0 within the class, errors first), image_id, label,
--    prediction, error (1 or 0); one row for each image of a class
select
    c.class_id as class_id,
    -- Errors first: the errors of a class are then its first image numbers, without gaps.
    cast(row_number() over (
        partition by c.class_id order by p.error desc, p.image_id
    ) - 1 as integer) as image_no,
    p.image_id as image_id,
    p.label as label,
    p.prediction as prediction,
    p.error as error
from predictions as p
inner join classes as c on c.class_name = p.class_name
