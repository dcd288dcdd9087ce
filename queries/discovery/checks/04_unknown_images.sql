-- Which images have tags but no prediction?
-- reads: tags, images
-- returns: one row: images, example
select
    count(distinct t.image_id) as images,
    min(t.image_id) as example
from tags as t
left join images as i on i.image_id = t.image_id
where i.image_id is null
