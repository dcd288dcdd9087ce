-- Which tags counted in each class of the run so far?
-- reads: tag_counts, vocabulary, class_numbers
-- parameter min_tag_images: fewest images on which a tag counted there
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag now; absent tags come after it
-- returns: class_id, tag_1 (as numbered now)
with named as (
    select
        t.class_id as class_id,
        v.tag_id as tag_id,
        k.stored_images - t.counted_images as lacking
    from tag_counts as t
    inner join vocabulary as v on v.known_id = t.tag_id
    inner join class_numbers as k on k.class_id = t.class_id
    where t.counted_images is not null
)

select class_id, tag_id as tag_1
from named
{% if max_absent %}

union all

select class_id, tag_id + {{ last_tag }} as tag_1
from named
where lacking >= {{ min_tag_images }}
{% endif %}
