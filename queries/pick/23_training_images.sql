-- Which images are there to train on, in which class?
-- reads: predictions (without predictions: nobody has made any)
-- returns: class_name, image_id
select class_name, image_id
from predictions
