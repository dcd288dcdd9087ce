-- Which images carry each frequent tag of a class? (T_c of the paper)
-- reads: outcomes, images, image_tags
-- parameter min_tag_images: a tag counts in a class from so many images on
-- returns: class_id, tag_id, image_no, error
with class_tags as (
    select
        o.class_id as class_id,
        g.tag_id as tag_id,
        o.image_no as image_no,
        o.error as error
    from image_tags as g
    inner join images as i on i.image_key = g.image_key
    inner join outcomes as o on o.image_id = i.image_id
),

frequent_tags as (
    select class_id, tag_id
    from class_tags
    group by class_id, tag_id
    having count(*) >= {{ min_tag_images }}
)

select
    t.class_id as class_id,
    t.tag_id as tag_id,
    t.image_no as image_no,
    t.error as error
from class_tags as t
inner join frequent_tags as f on f.class_id = t.class_id and f.tag_id = t.tag_id
