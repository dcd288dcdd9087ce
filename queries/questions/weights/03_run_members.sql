-- Which of the run's images fall in which failure mode?
-- reads: failure_mode_images
-- returns: mode_id, image_id
select mode_id, image_id
from failure_mode_images
