-- Where are the tags of the images stored that the new tables name?
-- reads: named_images
-- returns: image_id, place; one row for each image (one that stands in several classes has the same tags in
--    all)
select
    image_id,
    min(place) as place
from named_images
group by image_id
