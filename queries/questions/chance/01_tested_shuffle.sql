-- Which failure modes did chance give, and with what numbers?
-- reads: failure_modes (of a search on shuffled errors)
-- returns: the columns of discovery/significance/01_tested
{% from 'definitions.jinja' import terms %}
select
    class_images,
    class_errors,
    images,
    errors,
    {{ terms() }} as terms,
    count(*) as tag_sets
from failure_modes
group by class_images, class_errors, images, errors
