-- Which images are there to train on, and in which class?
-- reads: predictions (the images and their classes; no model has predicted anything)
-- returns: class_name, image_id
select class_name, image_id
from predictions
