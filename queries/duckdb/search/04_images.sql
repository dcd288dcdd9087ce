-- Which images are there? One image may stand in several classes.
-- reads: outcomes
-- returns: image_id
select image_id
from outcomes
group by image_id
