-- Which classes are counted again? Those whose stored counts are not enough, and those with many
-- changes.
-- reads: prime.classes, classes (of the session), single_tags, counted_tags, changes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter min_images: fewest images of a failure mode in that run
-- parameter min_drop: smallest accuracy drop in that run
-- parameter most_changed: share of changed images from which it takes less time to count the class
--    again
-- returns: class_id
{% from 'definitions.jinja' import fewest_errors %}
with stored as (
    select
        class_name,
        {{ fewest_errors('errors', 'images', min_images, min_drop) }} as min_errors
    from {{ schema }}.classes
    where run_id = {{ run_id }}
)

-- New ones, and those where a set now needs fewer errors to count.
select c.class_id as class_id
from classes as c
left join stored as s on s.class_name = c.class_name
where s.min_errors is null or c.min_errors < s.min_errors

union

-- Those in which a tag with enough errors has become frequent: no set with it was counted.
select t.class_id as class_id
from single_tags as t
inner join classes as c on c.class_id = t.class_id
left join counted_tags as k on k.class_id = t.class_id and k.tag_1 = t.tag_1
where k.tag_1 is null and t.errors >= c.min_errors

union

-- Those in which so much has changed that counting again takes less time.
select c.class_id as class_id
from classes as c
inner join (
    select class_id, count(distinct image_id) as images
    from changes
    group by class_id
) as h on h.class_id = c.class_id
where h.images > {{ most_changed }} * c.images
