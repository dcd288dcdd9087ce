-- Other thresholds: what did the stored run count in each class, and how many errors does a failure
-- mode need now?
-- reads: prime.classes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the stored run
-- parameter min_images: fewest images of a failure mode, now
-- parameter min_drop: smallest accuracy drop, now
-- parameter counted_min_images: fewest images of a failure mode in the stored run
-- parameter counted_min_drop: smallest accuracy drop in the stored run
-- returns: the columns of classes, and counted_min_errors
{% from 'definitions.jinja' import fewest_errors %}
select
    class_id,
    class_name,
    images,
    errors,
    accuracy,
    {{ fewest_errors('errors', 'images', min_images, min_drop) }} as min_errors,
    {{ fewest_errors('errors', 'images', counted_min_images, counted_min_drop) }}
        as counted_min_errors
from {{ schema }}.classes
where run_id = {{ run_id }}
