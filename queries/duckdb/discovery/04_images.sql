-- Which images are there? An image may be in several classes.
-- reads: outcomes
-- returns: image_id
select image_id
from outcomes
group by image_id
