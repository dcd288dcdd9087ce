-- Which images are there? An image may be in several classes.
-- reads: outcomes
-- returns: image_key, image_id
select
    cast(row_number() over (order by image_id) as integer) as image_key,
    image_id
from outcomes
group by image_id
