-- Which number does each class of the run have now?
-- reads: prime.classes, classes (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: stored_class, class_id, stored_images, stored_errors (as stored)
select
    s.class_id as stored_class,
    c.class_id as class_id,
    s.images as stored_images,
    s.errors as stored_errors
from {{ schema }}.classes as s
inner join classes as c on c.class_name = s.class_name
where s.run_id = {{ run_id }}
