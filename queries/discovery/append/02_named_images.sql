-- Which images of the run do the new tables name? All others stay as they are.
-- reads: stored_images, new_predictions, removed_images, tag_images (image_id of the new tags)
-- returns: the columns of stored_images, and replaced (1 where the image is predicted again or removed,
--    else 0)
with replaced as (
    select image_id from new_predictions
    union
    select image_id from removed_images
),

named as (
    select image_id from replaced
    union
    select image_id from tag_images
)

select
    s.place as place,
    s.class_name as class_name,
    s.image_id as image_id,
    s.label as label,
    s.prediction as prediction,
    s.error as error,
    case when r.image_id is null then 0 else 1 end as replaced
from stored_images as s
inner join named as n on n.image_id = s.image_id
left join replaced as r on r.image_id = s.image_id
