-- Which images does the run have, and in which class?
-- reads: outcomes, classes
-- returns: class_name, image_id
select
    c.class_name as class_name,
    o.image_id as image_id
from outcomes as o
inner join classes as c on c.class_id = o.class_id
