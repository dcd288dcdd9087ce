-- Which images carry tags that are too rare to count in their class? Appended images may make them
-- frequent.
-- reads: class_tags, vocabulary
-- parameter min_tag_images: fewest images on which a tag counts in a class
-- returns: class_id, image_no, tag
with rare_tags as (
    select class_id, tag_id
    from class_tags
    group by class_id, tag_id
    having count(*) < {{ min_tag_images }}
)

select
    t.class_id as class_id,
    t.image_no as image_no,
    v.tag as tag
from class_tags as t
inner join rare_tags as r on r.class_id = t.class_id and r.tag_id = t.tag_id
inner join vocabulary as v on v.tag_id = t.tag_id
