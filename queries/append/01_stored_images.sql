-- Which images has the run so far?
-- reads: prime.outcomes, prime.classes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: stored_class and stored_no (the numbers of class and image in that run), class_name,
--    image_id, label, prediction, error
select
    o.class_id as stored_class,
    o.image_no as stored_no,
    c.class_name as class_name,
    o.image_id as image_id,
    o.label as label,
    o.prediction as prediction,
    o.error as error
from {{ schema }}.outcomes as o
inner join {{ schema }}.classes as c on c.run_id = o.run_id and c.class_id = o.class_id
where o.run_id = {{ run_id }}
