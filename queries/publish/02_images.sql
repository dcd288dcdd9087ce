-- Keep which image carries which tag, for the tags that stand in a counted set.
-- reads: outcomes, vocabulary, tagged, counts_1
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
insert into {{ schema }}.outcomes
select {{ run_id }}, class_id, image_no, image_id, label, prediction, error
from outcomes;

insert into {{ schema }}.vocabulary
select {{ run_id }}, tag_id, tag
from vocabulary
where tag_id in (select tag_1 from counts_1);

insert into {{ schema }}.tagged
select {{ run_id }}, t.class_id, t.tag_id, t.image_no
from tagged as t
inner join counts_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id;
