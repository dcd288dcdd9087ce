-- Does every listed image have an id of its own, and a file?
-- reads: listed, images
-- returns: images, no_id (rows without image_id), no_file (rows without uri and bytes), twice
--    (image_ids of several rows), example (the first of these), taken (image_ids that another file has
--    in the database), taken_example (the first of these)
with twice as (
    select image_id
    from listed
    group by image_id
    having count(*) > 1
),

taken as (
    select listed.image_id
    from listed
    inner join images on images.image_id = listed.image_id
    where
        images.uri is distinct from listed.uri
        or (listed.uri is null and images.sha256 <> sha256(listed.bytes))
)

select
    (select count(*) from listed) as images,
    (select count(*) from listed where image_id is null or image_id = '') as no_id,
    (select count(*) from listed where uri is null and bytes is null) as no_file,
    (select count(*) from twice) as twice,
    (select min(image_id) from twice) as example,
    (select count(*) from taken) as taken,
    (select min(image_id) from taken) as taken_example
