-- Which failure modes have a mode_id that begins like this?
-- reads: failure_modes
-- parameter mode_id: the mode, or the first characters of its mode_id
-- returns: the columns of failure_modes; one row if the mode_id is known and unambiguous
select *
from failure_modes
where substring(mode_id, 1, length({{ mode_id | literal }})) = {{ mode_id | literal }}
order by mode_id
