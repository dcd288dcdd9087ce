-- What can be seen in each of these images?
-- reads: prime_sql_outputs (image_id, output: a list of tag and score), prime_sql_synonyms (synonym, tag)
-- parameter table: where the tags go
-- parameter tagged_images: where the images are noted
-- parameter model: name of the tagger
-- parameter replace: whether they replace everything that the tagger has done
-- returns: nothing; writes one row for each image and tag (synonyms are one tag), and notes which
--    images were tagged
insert {{ "overwrite" if replace else "into" }} {{ table | identifier }} partition (tagger = {{ model | literal }})
(image_id, tag, score)
select
    seen.image_id,
    coalesce(synonyms.tag, seen.pair.tag) as tag,
    max(seen.pair.score) as score
from (select image_id, explode(output) as pair from prime_sql_outputs) as seen
left join prime_sql_synonyms as synonyms on synonyms.synonym = seen.pair.tag
where seen.pair.tag is not null and seen.pair.tag <> ''
group by seen.image_id, coalesce(synonyms.tag, seen.pair.tag);

insert {{ "overwrite" if replace else "into" }} {{ tagged_images | identifier }} partition (tagger = {{ model | literal }})
(image_id, tags)
select outputs.image_id, cast(count(distinct coalesce(synonyms.tag, seen.tag)) as int)
from (select image_id, output from prime_sql_outputs where output is not null) as outputs
left join (
    select image_id, pair.tag as tag
    from (select image_id, explode(output) as pair from prime_sql_outputs)
    where pair.tag <> ''
) as seen on seen.image_id = outputs.image_id
left join prime_sql_synonyms as synonyms on synonyms.synonym = seen.tag
group by outputs.image_id
