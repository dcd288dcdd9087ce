-- Which tags do the failure modes of a run have?
-- reads: failure_modes, failure_mode_tags
-- returns: mode_id, class_name, tags, tag_count, tag, present (1, or 0 for "not TAG"), name (as written
--    in tags); one row for each mode and tag
select
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
    t.tag as tag,
    case when t.present then 1 else 0 end as present,
    case when t.present then t.tag else 'not ' || t.tag end as name
from failure_modes as m
inner join failure_mode_tags as t on t.mode_id = m.mode_id
order by m.mode_id, t.tag
