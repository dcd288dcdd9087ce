-- How accurate is the model on each class of the unseen data?
-- reads: predictions
-- returns: class_name, images, errors
select
    class_name,
    cast(count(*) as bigint) as images,
    cast(sum(error) as bigint) as errors
from predictions
group by class_name
