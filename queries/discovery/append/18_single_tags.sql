-- On how many images is each frequent tag of a class now, and how many lack it?
-- reads: tag_counts, vocabulary, classes
-- parameter min_tag_images: fewest images on which a tag counts in a class
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_1, images, errors
with frequent_tags as (
    select
        t.class_id as class_id,
        v.tag_id as tag_id,
        t.images as images,
        t.errors as errors
    from tag_counts as t
    inner join vocabulary as v on v.known_id = t.tag_id
    where t.images >= {{ min_tag_images }}
)

select
    class_id,
    tag_id as tag_1,
    images,
    errors
from frequent_tags
{% if max_absent %}

union all

select
    f.class_id as class_id,
    f.tag_id + {{ last_tag }} as tag_1,
    c.images - f.images as images,
    c.errors - f.errors as errors
from frequent_tags as f
inner join classes as c on c.class_id = f.class_id
where c.images - f.images >= {{ min_tag_images }}
{% endif %}
