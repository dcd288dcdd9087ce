-- Are the images to remove in the run, and not among the new predictions?
-- reads: removed_images, named_images, new_predictions
-- returns: one row: images, unknown (images that the run does not have), unknown_example, again (images
--    that are both to be removed and newly predicted), again_example
select
    count(*) as images,
    sum(case when s.image_id is null then 1 else 0 end) as unknown,
    min(case when s.image_id is null then r.image_id end) as unknown_example,
    sum(case when n.image_id is not null then 1 else 0 end) as again,
    min(n.image_id) as again_example
from removed_images as r
left join (select image_id from named_images group by image_id) as s on s.image_id = r.image_id
left join (select image_id from new_predictions group by image_id) as n on n.image_id = r.image_id
