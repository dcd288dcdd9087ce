-- Which images without tags would meet tags without an image, if their ids were written alike?
-- reads: tags, images
-- returns: image_id, tagged_id (in tags), pairs (how many there are); the first 10,000. Ids are alike
--    without folders, Unicode form, ending, leading zeros, case and spaces around them, if no others are
with tagged as (
    select image_id
    from tags
    where image_id is not null and tag is not null
    group by image_id
),

untagged as (
    select i.image_id as image_id
    from images as i
    left join tagged as t on t.image_id = i.image_id
    where t.image_id is null
    group by i.image_id
),

unknown as (
    select t.image_id as image_id
    from tagged as t
    left join images as i on i.image_id = t.image_id
    where i.image_id is null
),

both_sides as (
    select image_id, 1 as is_image
    from untagged
    union all
    select image_id, 0 as is_image
    from unknown
),

names as (
    select
        image_id,
        is_image,
        regexp_replace(
            regexp_replace(lower(trim(nfc_normalize(image_id))), '^.*[/\\]', ''),
            '[.][a-z0-9]{1,5}$', ''
        ) as name
    from both_sides
),

keys as (
    select
        image_id,
        is_image,
        -- Without a reference to a group: each engine writes it in its own way.
        case
            when regexp_replace(name, '^[0-9]+$', '') = '' then regexp_replace(name, '^0+', '')
            else name
        end as name
    from names
),

once as (
    select
        k.name as name,
        max(case when k.is_image = 1 then k.image_id end) as untagged_id,
        max(case when k.is_image = 0 then k.image_id end) as tagged_id
    from keys as k
    group by k.name
    having sum(k.is_image) = 1 and count(*) = 2
)

select
    o.untagged_id as image_id,
    o.tagged_id as tagged_id,
    count(*) over () as pairs
from once as o
order by o.untagged_id
limit 10000
