-- Which predictions are there, the new ones in the place of older ones of the same images?
-- reads: stored_images, new_predictions, removed_images, places
-- returns: image_id, label, prediction, class_name, error, stored_class and stored_no (where the tags of the
--    image are stored; null for a new image)
with replaced as (
    select image_id from new_predictions
    union
    select image_id from removed_images
)

select
    s.image_id as image_id,
    s.label as label,
    s.prediction as prediction,
    s.class_name as class_name,
    s.error as error,
    s.stored_class as stored_class,
    s.stored_no as stored_no
from stored_images as s
left join replaced as r on r.image_id = s.image_id
where r.image_id is null

union all

select
    n.image_id as image_id,
    n.label as label,
    n.prediction as prediction,
    n.class_name as class_name,
    n.error as error,
    p.stored_class as stored_class,
    p.stored_no as stored_no
from new_predictions as n
left join places as p on p.image_id = n.image_id
