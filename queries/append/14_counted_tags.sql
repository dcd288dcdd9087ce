-- Which tags counted in each class of the run so far?
-- reads: prime.tagged, prime.vocabulary, prime.classes, classes, vocabulary (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter min_tag_images: from how many images on a tag counted there
-- parameter max_absent: how many tags of a set may be absent ones
-- parameter last_tag: the largest tag_id of a tag now; beyond it are the absent ones
-- returns: class_id, tag_1 (the numbers of now)
with frequent_tags as (
    select
        class_id,
        tag_id,
        count(*) as images
    from {{ schema }}.tagged
    where run_id = {{ run_id }}
    group by class_id, tag_id
),

named as (
    select
        c.class_id as class_id,
        v.tag_id as tag_id,
        s.images - f.images as lacking
    from frequent_tags as f
    inner join {{ schema }}.classes as s on s.run_id = {{ run_id }} and s.class_id = f.class_id
    inner join {{ schema }}.vocabulary as o on o.run_id = {{ run_id }} and o.tag_id = f.tag_id
    inner join classes as c on c.class_name = s.class_name
    inner join vocabulary as v on v.tag = o.tag
)

select class_id, tag_id as tag_1
from named
{% if max_absent %}

union all

select class_id, tag_id + {{ last_tag }} as tag_1
from named
where lacking >= {{ min_tag_images }}
{% endif %}
