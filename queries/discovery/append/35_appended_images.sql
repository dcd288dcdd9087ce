-- Store which image carries which tag, for a run that grew, instead of discovery/publish/01_images: what
-- stays the same is copied from the run so far.
-- reads: prime.tagged, outcomes, vocabulary, tag_counts, single_tags, loose_tags, class_numbers, tag_numbers
-- parameter schema: the quoted schema of the results
-- parameter run_id: the new run
-- parameter stored_run_id: the run that counted
-- parameter min_tag_images: fewest images on which a tag counts in a class
-- returns: nothing; adds the images of the run to outcomes, vocabulary, tagged and rare_tags
{% from 'discovery/append/rows.jinja' import place, now_rare %}
insert into {{ schema }}.outcomes
select {{ run_id }}, class_id, image_no, image_id, label, prediction, error
from outcomes;

insert into {{ schema }}.vocabulary
select {{ run_id }}, tag_id, tag
from vocabulary
where tag_id in (select tag_1 from single_tags);

insert into {{ schema }}.tagged
with {{ now_rare(min_tag_images) }}

select
    {{ run_id }} as run_id,
    o.class_id as class_id,
    n.tag_id as tag_id,
    o.image_no as image_no
from {{ schema }}.tagged as t
inner join tag_numbers as n on n.stored_id = t.tag_id
inner join outcomes as o on o.place = {{ place('t.class_id', 't.image_no') }}
left join now_rare as r on r.stored_class = t.class_id and r.stored_id = t.tag_id
where t.run_id = {{ stored_run_id }} and r.stored_class is null

union all

select
    {{ run_id }} as run_id,
    l.class_id as class_id,
    l.tag_id as tag_id,
    l.image_no as image_no
from loose_tags as l
inner join single_tags as s on s.class_id = l.class_id and s.tag_1 = l.tag_id;

insert into {{ schema }}.rare_tags
select {{ run_id }}, l.class_id, l.image_no, v.tag
from loose_tags as l
inner join vocabulary as v on v.tag_id = l.tag_id
left join single_tags as s on s.class_id = l.class_id and s.tag_1 = l.tag_id
where s.class_id is null;
