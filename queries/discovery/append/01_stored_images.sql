-- Which images does the run have so far?
-- reads: prime.outcomes, prime.classes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: place (where the image is in that run: one number for class and image), class_name, image_id,
--    label, prediction, error
{% from 'discovery/append/rows.jinja' import place %}
select
    {{ place('o.class_id', 'o.image_no') }} as place,
    c.class_name as class_name,
    o.image_id as image_id,
    o.label as label,
    o.prediction as prediction,
    o.error as error
from {{ schema }}.outcomes as o
inner join {{ schema }}.classes as c on c.run_id = o.run_id and c.class_id = o.class_id
where o.run_id = {{ run_id }}
