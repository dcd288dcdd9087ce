-- Which images does the run have already?
-- reads: outcomes
-- returns: image_id
select image_id
from outcomes
group by image_id
