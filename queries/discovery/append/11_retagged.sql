-- Which images have different tags than before?
-- reads: tag_images, present_images, places, named_tags, new_tags
-- returns: image_id, new images included
with before as (
    select
        p.image_id as image_id,
        s.tag_id as tag_id
    from tag_images as g
    inner join places as p on p.image_id = g.image_id
    inner join named_tags as s on s.place = p.place
),

different as (
    select coalesce(n.image_id, b.image_id) as image_id
    from new_tags as n
    full outer join before as b on b.image_id = n.image_id and b.tag_id = n.tag_id
    where n.image_id is null or b.image_id is null
)

select d.image_id as image_id
from different as d
inner join present_images as p on p.image_id = d.image_id
group by d.image_id
