-- How many errors does each class have when the stored images of a run are counted again?
-- reads: prime.classes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter errors: which images are errors now: stored, shuffled (as many others), flipped (those
--    that were right) or every (all of them)
-- parameter min_images: fewest images of a tag set
-- parameter min_drop: smallest accuracy drop, or none to count every set with min_images images
-- returns: the columns of discovery/02_classes
{% from 'definitions.jinja' import fewest_errors %}
with changed as (
    select
        class_id,
        class_name,
        images,
        {{ {'flipped': 'images - errors', 'every': 'images'}.get(errors, 'errors') }} as errors
    from {{ schema }}.classes
    where run_id = {{ run_id }}
)

select
    class_id,
    class_name,
    images,
    errors,
    cast(images - errors as double) / images as accuracy,
{% if min_drop is none %}
    cast({{ min_images }} as bigint) as min_errors
{% else %}
    {{ fewest_errors('errors', 'images', min_images, min_drop) }} as min_errors
{% endif %}
from changed
