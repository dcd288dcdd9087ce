-- Which tags must an image of the class carry, or lack, to belong to each failure mode?
-- reads: failure_modes, failure_mode_tags
-- returns: mode_id, class_name, tag, present (1: carries it, 0: lacks it), class_tag_id (number of the
--    pair of class and tag); one row for each mode and tag. A mode whose tags are all absent also has a
--    row without a tag, which every image of its class fits.
with mode_tags as (
    select
        m.mode_id as mode_id,
        m.class_name as class_name,
        t.tag as tag,
        case when t.present then 1 else 0 end as present
    from failure_modes as m
    inner join failure_mode_tags as t on t.mode_id = m.mode_id
),

wanted as (
    select mode_id, class_name, tag, present
    from mode_tags

    union all

    select
        t.mode_id as mode_id,
        t.class_name as class_name,
        cast(null as varchar) as tag,
        1 as present
    from mode_tags as t
    group by t.mode_id, t.class_name
    having sum(t.present) = 0
)

select
    mode_id,
    class_name,
    tag,
    present,
    cast(dense_rank() over (order by class_name, tag) as integer) as class_tag_id
from wanted
