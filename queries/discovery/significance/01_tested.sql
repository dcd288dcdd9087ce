-- Which tag sets are tested against chance, and with what numbers?
-- reads: prime.tag_sets, prime.classes, prime.failure_modes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter min_images: fewest images of a tag set that was eligible
-- parameter every: whether every counted tag set is tested, or the failure modes alone
-- returns: class_images, class_errors, images, errors, terms (how many the sum of the p-value needs),
--    tag_sets (how many have these numbers); sets that are no worse than their class left out
with numbers as (
{% if every %}
    select
        c.images as class_images,
        c.errors as class_errors,
        s.images as images,
        s.errors as errors
    from {{ schema }}.tag_sets as s
    inner join {{ schema }}.classes as c on c.run_id = s.run_id and c.class_name = s.class_name
    where s.run_id = {{ run_id }} and s.images >= {{ min_images }}
{% else %}
    select class_images, class_errors, images, errors
    from {{ schema }}.failure_modes
    where run_id = {{ run_id }}
{% endif %}
)

{% from 'definitions.jinja' import terms %}
select
    class_images,
    class_errors,
    images,
    errors,
    {{ terms() }} as terms,
    count(*) as tag_sets
from numbers
where errors * class_images > images * class_errors
group by class_images, class_errors, images, errors
