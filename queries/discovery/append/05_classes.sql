-- How accurate is the model on each class now, and how many errors does a failure mode need there?
-- reads: prime.classes, named_images, present_images
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter min_images: fewest images of a failure mode
-- parameter min_drop: smallest accuracy drop of a failure mode
-- returns: the columns of discovery/02_classes
{% from 'definitions.jinja' import fewest_errors %}
with parts as (
    select class_name, images, errors
    from {{ schema }}.classes
    where run_id = {{ run_id }}

    union all

    select class_name, -1 as images, -error as errors
    from named_images

    union all

    select class_name, 1 as images, error as errors
    from present_images
),

counted as (
    select
        class_name,
        cast(sum(images) as bigint) as images,
        cast(sum(errors) as bigint) as errors
    from parts
    group by class_name
    having sum(images) > 0
)

select
    cast(row_number() over (order by class_name) as integer) as class_id,
    class_name,
    images,
    errors,
    cast(images - errors as double) / images as accuracy,
    {{ fewest_errors('errors', 'images', min_images, min_drop) }} as min_errors
from counted
