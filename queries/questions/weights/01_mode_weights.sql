-- How much harder is each failure mode than its class?
-- reads: failure_modes
-- returns: mode_id, class_name, weight (error rate of the mode over that of its class)
select
    mode_id,
    class_name,
    (cast(errors as double) / images) / (cast(class_errors as double) / class_images) as weight
from failure_modes
