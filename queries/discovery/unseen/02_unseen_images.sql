-- Which images are in the unseen data? An image may be in several classes.
-- reads: predictions
-- returns: image_key, image_id
select
    cast(row_number() over (order by image_id) as integer) as image_key,
    image_id
from predictions
group by image_id
