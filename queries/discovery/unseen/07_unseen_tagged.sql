-- Which unseen images of a class carry each tag that a failure mode of the class names?
-- reads: wanted_tags, predictions, images, unseen_vocabulary, image_tags
-- returns: class_tag_id, image_key, error; for a row without a tag, all images of the class
with class_tags as (
    select class_tag_id, class_name, tag
    from wanted_tags
    group by class_tag_id, class_name, tag
),

outcomes_by_key as (
    select
        p.class_name as class_name,
        i.image_key as image_key,
        p.error as error
    from predictions as p
    inner join images as i on i.image_id = p.image_id
)

select
    c.class_tag_id as class_tag_id,
    o.image_key as image_key,
    o.error as error
from class_tags as c
inner join unseen_vocabulary as v on v.tag = c.tag
inner join outcomes_by_key as o on o.class_name = c.class_name
inner join image_tags as g on g.image_key = o.image_key and g.tag_id = v.tag_id

union all

select
    c.class_tag_id as class_tag_id,
    o.image_key as image_key,
    o.error as error
from class_tags as c
inner join outcomes_by_key as o on o.class_name = c.class_name
where c.tag is null
