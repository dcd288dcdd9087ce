-- Which images carry each frequent tag of a class (T_c of the paper), and which lack it?
-- reads: class_tags, outcomes, classes
-- parameter min_tag_images: fewest images on which a tag counts in a class
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_id, image_no, error
with frequent_tags as (
    select class_id, tag_id, count(*) as images
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
{% if max_absent %}

union all

select
    f.class_id as class_id,
    f.tag_id + {{ last_tag }} as tag_id,
    o.image_no as image_no,
    o.error as error
from frequent_tags as f
inner join classes as c on c.class_id = f.class_id
inner join outcomes as o on o.class_id = f.class_id
left join class_tags as t
    on t.class_id = f.class_id and t.tag_id = f.tag_id and t.image_no = o.image_no
where t.image_no is null and c.images - f.images >= {{ min_tag_images }}
{% endif %}
