-- Which images does the run already have?
-- reads: outcomes
-- returns: image_id
select image_id
from outcomes
group by image_id
