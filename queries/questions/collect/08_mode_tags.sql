-- Which tags does each failure mode have?
-- reads: failure_mode_tags
-- returns: mode_id, name (as shown: "not TAG" where it is absent), in the order of the tags
select
    mode_id,
    case when present then tag else 'not ' || tag end as name
from failure_mode_tags
order by mode_id, tag, present desc
