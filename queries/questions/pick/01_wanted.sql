-- Which tags must an image carry, or lack, to match a failure mode?
-- reads: failure_mode_tags
-- parameter mode_id: the mode
-- returns: tag, present (1: carries it, 0: lacks it)
select
    tag,
    case when present then 1 else 0 end as present
from failure_mode_tags
where mode_id = {{ mode_id | literal }}
