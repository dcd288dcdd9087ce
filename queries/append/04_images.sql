-- Which images are there now? One image may stand in several classes.
-- reads: predictions
-- returns: image_id
select image_id
from predictions
group by image_id
