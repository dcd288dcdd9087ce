-- Which images have the content of another one?
-- reads: images, listed
-- returns: one row: again (images beyond the first of their content), labels (contents under several labels),
--    example and other (two images of one content, of two labels if there are such)
with same as (
    select
        images.sha256,
        count(*) as times,
        count(distinct images.label) as label_count,
        min(images.image_id) as example,
        max(images.image_id) as other,
        sum(case when listed.image_id is not null then 1 else 0 end) as listed_times
    from images
    left join listed on listed.image_id = images.image_id
    where images.sha256 <> ''
    group by images.sha256
    having count(*) > 1
),

here as (
    select * from same where listed_times > 0
)

select
    coalesce(sum(times - 1), 0) as again,
    coalesce(sum(case when label_count > 1 then 1 else 0 end), 0) as labels,
    (select example from here order by label_count desc, sha256 limit 1) as example,
    (select other from here order by label_count desc, sha256 limit 1) as other
from here
