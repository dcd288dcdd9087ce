-- How many of the wanted tags does each image of the pool carry?
-- reads: wanted, tags (image_id, tag; of the pool), tagged_pool (image_id: those that were tagged at all)
-- returns: image_id, carried (how many of the tags to carry), unwanted (how many of the tags to lack)
with carries as (
    select
        t.image_id as image_id,
        w.tag as tag,
        w.present as present
    from tags as t
    inner join wanted as w on w.tag = t.tag
    group by t.image_id, w.tag, w.present
)

select
    p.image_id as image_id,
    cast(coalesce(sum(c.present), 0) as bigint) as carried,
    cast(coalesce(sum(1 - c.present), 0) as bigint) as unwanted
from tagged_pool as p
left join carries as c on c.image_id = p.image_id
group by p.image_id
