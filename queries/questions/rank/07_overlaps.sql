-- Which failure modes of a class share their images?
-- reads: failure_modes, mode_images
-- uses: mode_images
-- asked as: overlaps
-- parameter min_jaccard = 0.5: smallest share of the images of the two modes that both have
-- returns: class_name, tags (of the mode with more excess errors), other_tags, jaccard (shared
--    images / images of either), shared_images, shared_errors, images, other_images, share and
--    other_share (of each one's images), mode_id, other_mode_id; pairs with a shared image only,
--    most alike first
with ranked as (
    select
        mode_id,
        class_name,
        tags,
        images,
        row_number() over (order by excess_errors desc, class_name, tags, mode_id) as place
    from failure_modes
),

members as (
    select
        r.place as place,
        r.images as images,
        i.class_id as class_id,
        i.image_no as image_no,
        i.error as error
    from mode_images as i
    inner join ranked as r on r.mode_id = i.mode_id
),

pairs as (
    -- Modes whose numbers of images differ too much cannot be alike. 1e-9: comparisons are
    -- inclusive, however an engine rounds.
    select
        a.place as place,
        b.place as other_place,
        count(*) as shared_images,
        cast(sum(a.error) as bigint) as shared_errors
    from members as a
    inner join members as b
        on b.class_id = a.class_id
        and b.image_no = a.image_no
        and b.place > a.place
        and b.images >= a.images * {{ min_jaccard | number }} - 1e-9
        and a.images >= b.images * {{ min_jaccard | number }} - 1e-9
    group by a.place, b.place
),

measured as (
    select
        a.class_name as class_name,
        a.mode_id as mode_id,
        a.tags as tags,
        a.images as images,
        b.mode_id as other_mode_id,
        b.tags as other_tags,
        b.images as other_images,
        p.shared_images as shared_images,
        p.shared_errors as shared_errors,
        cast(p.shared_images as double) / (a.images + b.images - p.shared_images) as jaccard,
        cast(p.shared_images as double) / a.images as share,
        cast(p.shared_images as double) / b.images as other_share,
        p.place as place,
        p.other_place as other_place
    from pairs as p
    inner join ranked as a on a.place = p.place
    inner join ranked as b on b.place = p.other_place
)

select
    class_name,
    tags,
    other_tags,
    jaccard,
    shared_images,
    shared_errors,
    images,
    other_images,
    share,
    other_share,
    mode_id,
    other_mode_id
from measured
where jaccard >= {{ min_jaccard | number }} - 1e-9
order by jaccard desc, shared_images desc, place, other_place
