-- Which of the images that the new tables name does the new run have? New predictions replace older
-- ones.
-- reads: named_images, new_predictions
-- returns: image_id, label, prediction, class_name, error
select
    image_id,
    label,
    prediction,
    class_name,
    error
from named_images
where replaced = 0

union all

select
    image_id,
    label,
    prediction,
    class_name,
    error
from new_predictions
