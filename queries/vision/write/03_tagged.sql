-- What can be seen in each of these images?
-- reads: outputs (image_id, output: a list of tag and score), or seen (image_id, tag, score); synonyms
--    (synonym, tag)
-- parameter from_outputs: whether to read a tagger's outputs, or the relation seen
-- parameter table: where the tags go
-- parameter tagger: name of the tagger
-- returns: nothing; writes one row for each image and tag (synonyms are one tag), and notes which
--    images were tagged
{% if from_outputs %}
create or replace temp table seen as
select image_id, pair.tag as tag, pair.score as score
from (select image_id, unnest(output) as pair from outputs);
{% endif %}

create or replace temp table found as
select
    seen.image_id,
    coalesce(synonyms.tag, seen.tag) as tag,
    max(seen.score) as score
from seen
left join synonyms on synonyms.synonym = seen.tag
where seen.tag is not null and seen.tag <> ''
group by seen.image_id, coalesce(synonyms.tag, seen.tag);

insert into {{ table | identifier }} (image_id, tag, score, tagger)
select image_id, tag, score, {{ tagger | literal }}
from found
order by image_id, score desc, tag;

insert into tagged_images (image_id, tagger, tags)
select tagged.image_id, {{ tagger | literal }}, count(found.tag)
from (
    select distinct image_id
{% if from_outputs %}
    from outputs
    where output is not null
{% else %}
    from seen
{% endif %}
) as tagged
left join found on found.image_id = tagged.image_id
group by tagged.image_id;
