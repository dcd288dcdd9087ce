-- Where are the tags of the images stored that the new tables name?
-- reads: stored_images, new_predictions, tag_images (image_id of the new tags)
-- returns: image_id, stored_class, stored_no; one row for each named image that the run has (one that
--    stands in several classes has the same tags in all)
with named as (
    select image_id from new_predictions
    union
    select image_id from tag_images
),

numbered as (
    select
        s.image_id as image_id,
        s.stored_class as stored_class,
        s.stored_no as stored_no,
        row_number() over (partition by s.image_id order by s.stored_class) as place
    from stored_images as s
    inner join named as n on n.image_id = s.image_id
)

select image_id, stored_class, stored_no
from numbered
where place = 1
