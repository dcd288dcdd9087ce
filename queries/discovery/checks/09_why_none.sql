-- Why are there no failure modes?
-- reads: classes, tag_sets, the relation `frequent`
-- parameter min_images: fewest images of a failure mode
-- parameter frequent = 'tagged': which relation has the frequent tags, or none if they are no longer
--    known
-- returns: one row: classes, images, errors, largest_class, fewest_errors, frequent_tags,
--    tag_sets, largest_drop
with all_classes as (
    select
        count(*) as classes,
        sum(c.images) as images,
        sum(c.errors) as errors,
        max(c.images) as largest_class,
        min(c.min_errors) as fewest_errors
    from classes as c
),

all_tag_sets as (
    select
        count(*) as tag_sets,
        max(case when s.images >= {{ min_images }} then c.accuracy - s.accuracy end) as largest_drop
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
)

select
    c.classes as classes,
    c.images as images,
    c.errors as errors,
    c.largest_class as largest_class,
    c.fewest_errors as fewest_errors,
    {{ "cast(null as bigint)" if frequent is none else "(select count(*) from " ~ frequent | identifier ~ ")" }} as frequent_tags,
    s.tag_sets as tag_sets,
    s.largest_drop as largest_drop
from all_classes as c
cross join all_tag_sets as s
