-- Where does the run store the tags of the images that the new tables name?
-- reads: named_images
-- returns: image_id, place; one row for each image (one in several classes has the same tags in all of
--    them)
select
    image_id,
    min(place) as place
from named_images
group by image_id
