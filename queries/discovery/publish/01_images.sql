-- Store which image carries which tag: the frequent tags of each class, and the rare ones in a table of
-- their own.
-- reads: outcomes, vocabulary, tagged, rare_tags
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: nothing; adds the images of the run to outcomes, vocabulary, tagged and rare_tags
insert into {{ schema }}.outcomes
select {{ run_id }}, class_id, image_no, image_id, label, prediction, error
from outcomes;

insert into {{ schema }}.vocabulary
select {{ run_id }}, tag_id, tag
from vocabulary
where tag_id in (select tag_id from tagged);

insert into {{ schema }}.tagged
select {{ run_id }}, class_id, tag_id, image_no
from tagged
where tag_id in (select tag_id from vocabulary);

insert into {{ schema }}.rare_tags
select {{ run_id }}, class_id, image_no, tag
from rare_tags;
