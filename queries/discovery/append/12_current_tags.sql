-- Which tags do the images that the new tables name carry now?
-- reads: new_tags, retagged, places, named_tags
-- returns: image_id, tag_id (of known_tags)
select
    n.image_id as image_id,
    n.tag_id as tag_id
from new_tags as n
inner join retagged as r on r.image_id = n.image_id

union all

select
    p.image_id as image_id,
    s.tag_id as tag_id
from places as p
inner join named_tags as s on s.place = p.place
left join retagged as r on r.image_id = p.image_id
where r.image_id is null
