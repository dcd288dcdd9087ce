-- Which tags did the images that the new tables name carry so far?
-- reads: stored_tags, named_images
-- returns: place, tag_id (of known_tags)
select
    s.place as place,
    s.tag_id as tag_id
from stored_tags as s
inner join named_images as n on n.place = s.place
