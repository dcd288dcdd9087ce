-- Which absent tags of failure modes are on no image of the unseen data?
-- reads: wanted_tags, unseen_vocabulary
-- returns: one row: tags, example, failure_modes (that need one of them)
select
    count(distinct w.tag) as tags,
    min(w.tag) as example,
    count(distinct w.mode_id) as failure_modes
from wanted_tags as w
left join unseen_vocabulary as v on v.tag = w.tag
where w.present = 0 and v.tag is null
