-- How well do the new tags match the images?
-- reads: tags (the new ones, blank ones null), new_tags, new_predictions, current_tags
-- returns: one row: the columns of `tags` in this folder; images are those of the new predictions
with rows_read as (
    select
        count(*) as tag_rows,
        sum(case when image_id is null then 1 else 0 end) as null_image_ids,
        sum(case when image_id is not null and tag is null then 1 else 0 end)
            as blank_tags
    from tags
),

rows_used as (
    select
        coalesce(sum(copies), 0) as matched_rows,
        coalesce(sum(copies - 1), 0) as duplicate_rows
    from new_tags
),

new_images as (
    select image_id
    from new_predictions
    group by image_id
),

tagged_images as (
    select n.image_id as image_id
    from new_images as n
    inner join current_tags as t on t.image_id = n.image_id
    group by n.image_id
)

select
    r.tag_rows as tag_rows,
    coalesce(r.null_image_ids, 0) as null_image_ids,
    coalesce(r.blank_tags, 0) as blank_tags,
    u.matched_rows as matched_rows,
    u.duplicate_rows as duplicate_rows,
    (select count(*) from new_images) as images,
    (select count(*) from new_images) - (select count(*) from tagged_images) as untagged_images
from rows_read as r
cross join rows_used as u
