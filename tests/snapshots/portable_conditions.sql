-- source_predictions
create or replace temp view source_predictions as
SELECT "t0"."image_id", "t0"."truth" AS "label", "t0"."guess" AS "prediction", "t0"."camera", "t0"."guess", "t0"."split" FROM "temp"."main"."source_predictions_rows" AS "t0"

-- predictions
create or replace temp table predictions as
select
    cast(image_id as varchar) as image_id,
    cast(label as varchar) as label,
    cast(prediction as varchar) as prediction,
    -- Backslashes keep ('a | b', 'c') and ('a', 'b | c') apart.
    replace(replace(cast("camera" as varchar), '\', '\\'), '|', '\|')
    || ' | ' || replace(replace(cast("label" as varchar), '\', '\\'), '|', '\|')
        as class_name,
    case when guess IN ('bee', 'it''s') AND NOT camera IS NULL then 1 when not (guess IN ('bee', 'it''s') AND NOT camera IS NULL) then 0 end as error
from source_predictions
where split = 'test'

-- check_predictions
select
    count(*) as total,
    sum(case when image_id is null then 1 else 0 end) as null_image_id,
    min(case when image_id is null then class_name end) as null_image_id_example,
    sum(case when label is null then 1 else 0 end) as null_label,
    min(case when label is null then image_id end) as null_label_example,
    sum(case when false then 1 else 0 end) as null_prediction,
    min(case when false then image_id end) as null_prediction_example,
    sum(case when class_name is null then 1 else 0 end) as null_class,
    min(case when class_name is null then image_id end) as null_class_example,
    sum(case when error is null then 1 else 0 end) as null_error,
    min(case when error is null then image_id end) as null_error_example
from predictions

-- check_duplicate_predictions
with duplicates as (
    select class_name, image_id, count(*) as copies
    from predictions
    group by class_name, image_id
    having count(*) > 1
),

ordered as (
    select
        class_name,
        image_id,
        copies,
        row_number() over (order by class_name, image_id) as place
    from duplicates
)

select
    count(*) as images,
    sum(copies - 1) as surplus_rows,
    min(case when place = 1 then image_id end) as image_id,
    min(case when place = 1 then class_name end) as class_name,
    min(case when place = 1 then copies end) as copies
from ordered

-- tags
create or replace temp view tags as
SELECT "t0"."image_id", CASE WHEN TRIM("t0"."tag", ' 	
') = '' THEN CAST(NULL AS TEXT) ELSE "t0"."tag" END AS "tag" FROM "temp"."main"."source_tags_rows" AS "t0"

-- classes
create or replace temp table classes as
with counted as (
    select
        class_name,
        cast(count(*) as bigint) as images,
        cast(sum(error) as bigint) as errors
    from predictions
    group by class_name
)

select
    cast(row_number() over (order by class_name) as integer) as class_id,
    class_name,
    images,
    errors,
    cast(images - errors as double) / images as accuracy,
    -- errors(S) >= images(S) * (1 - accuracy(S)) >= min_images * (1 - accuracy(c) + min_drop);
    -- twice the tolerance of the definition, so that rounding never prunes a set at the threshold.
    cast(ceil(
        3 * (cast(errors as double) / images + 0.3 - 2e-9)
    ) as bigint) as min_errors
from counted

-- outcomes
create or replace temp table outcomes as
select
    c.class_id as class_id,
    -- Errors first: the errors of a class are then its first image numbers, without gaps.
    cast(row_number() over (
        partition by c.class_id order by p.error desc, p.image_id
    ) - 1 as integer) as image_no,
    p.image_id as image_id,
    p.label as label,
    p.prediction as prediction,
    p.error as error
from predictions as p
inner join classes as c on c.class_name = p.class_name

-- images
create or replace temp table images as
select
    cast(row_number() over (order by image_id) as integer) as image_key,
    image_id
from outcomes
group by image_id

-- vocabulary
create or replace temp table vocabulary as
select
    cast(row_number() over (order by tag) as integer) as tag_id,
    tag
from tags
where tag is not null
group by tag

-- image_tags
create or replace temp table image_tags as
select
    i.image_key as image_key,
    v.tag_id as tag_id,
    count(*) as copies
from tags as t
inner join images as i on i.image_id = t.image_id
inner join vocabulary as v on v.tag = t.tag
group by i.image_key, v.tag_id

-- check_tags
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
        coalesce(sum(copies - 1), 0) as duplicate_rows,
        count(distinct image_key) as tagged_images
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

-- tagged
create or replace temp table tagged as
with class_tags as (
    select
        o.class_id as class_id,
        g.tag_id as tag_id,
        o.image_no as image_no,
        o.error as error
    from image_tags as g
    inner join images as i on i.image_key = g.image_key
    inner join outcomes as o on o.image_id = i.image_id
),

frequent_tags as (
    select class_id, tag_id
    from class_tags
    group by class_id, tag_id
    having count(*) >= 3
)

select
    t.class_id as class_id,
    t.tag_id as tag_id,
    t.image_no as image_no,
    t.error as error
from class_tags as t
inner join frequent_tags as f on f.class_id = t.class_id and f.tag_id = t.tag_id

-- candidates_1
create or replace temp table candidates_1 as
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    count(*) as errors
from tagged as t
inner join classes as c on c.class_id = t.class_id
where t.error = 1
group by t.class_id, t.tag_id, c.min_errors
having count(*) >= c.min_errors

-- members_1
create or replace temp table members_1 as
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    t.image_no as image_no,
    t.error as error
from tagged as t
inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id

-- counts_1
create or replace temp table counts_1 as
select
    class_id,
    tag_1,
    cast(count(*) as bigint) as images,
    cast(sum(error) as bigint) as errors
from members_1
group by
    class_id,
    tag_1

-- tag_sets
create or replace temp table tag_sets as
select
    c.class_name as class_name,
v_1.tag as tags,
    1 as tag_count,
    v_1.tag as tag_1,
    cast(null as varchar) as tag_2,
    cast(null as varchar) as tag_3,
    cast(null as varchar) as tag_4,
    cast(null as varchar) as tag_5,
    cast(null as varchar) as tag_6,
    s.images as images,
    s.errors as errors,
    cast(s.images - s.errors as double) / s.images as accuracy,
    c.accuracy - cast(s.images - s.errors as double) / s.images as necessity_margin
from counts_1 as s
inner join classes as c on c.class_id = s.class_id
inner join vocabulary as v_1 on v_1.tag_id = s.tag_1

-- failure_modes
create or replace temp table failure_modes as
with minimal as (
    -- 1e-9: comparisons are inclusive, whatever the rounding of an engine.
    select
        s.class_name as class_name,
        s.tags as tags,
        s.tag_count as tag_count,
        s.tag_1 as tag_1,
        s.tag_2 as tag_2,
        s.tag_3 as tag_3,
        s.tag_4 as tag_4,
        s.tag_5 as tag_5,
        s.tag_6 as tag_6,
        s.images as images,
        s.errors as errors,
        s.accuracy as accuracy,
        c.images as class_images,
        c.errors as class_errors,
        c.accuracy as class_accuracy
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
    where
        s.images >= 3
        and s.accuracy <= c.accuracy - 0.3 + 1e-9
        and s.necessity_margin >= case s.tag_count
            when 1 then 0.0
            when 2 then 0.1
            when 3 then 0.05
            when 4 then 0.025
            when 5 then 0.025
            when 6 then 0.025
        end - 1e-9
)

select
    -- Hashes have one length, so no class or tag can run into the next one.
    substring(md5(
        md5('["camera", "label"]') || md5(class_name)
        || coalesce(md5(tag_1), '')
        || coalesce(md5(tag_2), '')
        || coalesce(md5(tag_3), '')
        || coalesce(md5(tag_4), '')
        || coalesce(md5(tag_5), '')
        || coalesce(md5(tag_6), '')
    ), 1, 16) as mode_id,
    class_name,
    tags,
    tag_count,
    images,
    errors,
    accuracy,
    class_images,
    class_errors,
    class_accuracy,
    class_accuracy - accuracy as accuracy_drop,
    errors - images * (cast(class_errors as double) / class_images) as excess_errors,
    cast(errors as double) / class_errors as error_coverage,
    tag_1,
    tag_2,
    tag_3,
    tag_4,
    tag_5,
    tag_6
from minimal

-- failure_mode_tags
create or replace temp table failure_mode_tags as
select
    mode_id,
    tag_1 as tag,
    class_accuracy as accuracy_without,
    class_accuracy - accuracy as necessity_margin
from failure_modes
where tag_count = 1

-- check_why_none
with all_classes as (
    select
        count(*) as classes,
        sum(images) as images,
        sum(errors) as errors,
        max(images) as largest_class,
        min(min_errors) as fewest_errors
    from classes
),

all_tag_sets as (
    select
        count(*) as tag_sets,
        max(case when s.images >= 3 then c.accuracy - s.accuracy end) as largest_drop
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
)

select
    c.classes as classes,
    c.images as images,
    c.errors as errors,
    c.largest_class as largest_class,
    c.fewest_errors as fewest_errors,
    (select count(*) from tagged) as frequent_tags,
    s.tag_sets as tag_sets,
    s.largest_drop as largest_drop
from all_classes as c
cross join all_tag_sets as s
