-- Does each synonym stand for one tag that is not a synonym itself?
-- reads: synonyms (synonym, tag)
-- returns: one row: empty (rows without a synonym or a tag), several (synonyms of more than one tag),
--    several_example, chained (tags that are synonyms of another tag), chained_example
select
    (select count(*) from synonyms where synonym is null or tag is null or synonym = '' or tag = '') as empty,
    (select count(*) from (select synonym from synonyms group by synonym having count(distinct tag) > 1) as s)
        as several,
    (select min(synonym) from (select synonym from synonyms group by synonym having count(distinct tag) > 1) as s)
        as several_example,
    count(distinct tag) as chained,
    min(tag) as chained_example
from synonyms
where tag in (select other.synonym from synonyms as other where other.synonym <> other.tag)
