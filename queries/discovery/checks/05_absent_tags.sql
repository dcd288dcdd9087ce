-- Does a tag have the name of another one's absence ("not water")?
-- reads: vocabulary
-- returns: one row: tags, tag (the first one that has such a namesake)
select
    count(*) as tags,
    min(v.tag) as tag
from vocabulary as v
inner join vocabulary as namesake on namesake.tag = 'not ' || v.tag
