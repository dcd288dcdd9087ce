-- Which tags have enough errors on their own, in the classes whose counts are kept?
-- reads: single_tags, classes, open_classes
-- returns: class_id, tag_1, images, errors
select
    t.class_id as class_id,
    t.tag_1 as tag_1,
    t.images as images,
    t.errors as errors
from single_tags as t
inner join classes as c on c.class_id = t.class_id
left join open_classes as w on w.class_id = t.class_id
where w.class_id is null and t.errors >= c.min_errors
