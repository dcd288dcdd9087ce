-- How well do the tags match the images?
-- reads: tags (blank ones null), images, image_tags
-- parameter listed = False: whether image_tags has one row for each image, with a list of its tags
-- returns: one row: tag_rows, null_image_ids, blank_tags, matched_rows, duplicate_rows,
--    images, untagged_images
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
{% if listed %}
        coalesce(sum(tag_rows), 0) as matched_rows,
        coalesce(sum(tag_rows - len(tag_ids)), 0) as duplicate_rows,
        count(*) as tagged_images
{% else %}
        coalesce(sum(copies), 0) as matched_rows,
        coalesce(sum(copies - 1), 0) as duplicate_rows,
        count(distinct image_key) as tagged_images
{% endif %}
    from image_tags
),

all_images as (
    select count(*) as images from images
)

select
    r.tag_rows as tag_rows,
    coalesce(r.null_image_ids, 0) as null_image_ids,
    coalesce(r.blank_tags, 0) as blank_tags,
    u.matched_rows as matched_rows,
    u.duplicate_rows as duplicate_rows,
    i.images as images,
    i.images - u.tagged_images as untagged_images
from rows_read as r
cross join rows_used as u
cross join all_images as i
