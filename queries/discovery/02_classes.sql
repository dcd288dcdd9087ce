-- How accurate is the model on each class, and how many errors does a failure mode need there?
-- reads: predictions
-- parameter min_images: fewest images of a failure mode
-- parameter min_drop: smallest accuracy drop of a failure mode
-- returns: class_id (from 1, in the order of the names), class_name, images, errors, accuracy,
--    min_errors (no failure mode of the class has fewer errors)
{% from 'definitions.jinja' import fewest_errors %}
with counted as (
    select
        class_name,
        cast(count(*) as bigint) as images,
        cast(sum(error) as bigint) as errors
    from predictions
    group by class_name
)

select
    cast(row_number() over (order by class_name) as integer) as class_id,
    class_name,
    images,
    errors,
    cast(images - errors as double) / images as accuracy,
    {{ fewest_errors('errors', 'images', min_images, min_drop) }} as min_errors
from counted
