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
    case when (guess IN ('bee', 'it''s') AND NOT camera IS NULL) then 1 when not ((guess IN ('bee', 'it''s') AND NOT camera IS NULL)) then 0 end as error
from source_predictions
where (split = 'test')

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
    sum(o.copies - 1) as surplus_rows,
    min(case when o.place = 1 then o.image_id end) as image_id,
    min(case when o.place = 1 then o.class_name end) as class_name,
    min(case when o.place = 1 then o.copies end) as copies
from ordered as o

-- class_names
with each_value as (
    select label as value, 1 as labels, 0 as predictions, 0 as classes, 1 - error as right_ones
    from predictions
    union all
    select prediction as value, 0 as labels, 1 as predictions, 0 as classes, 0 as right_ones
    from predictions
    union all
    select class_name as value, 0 as labels, 0 as predictions, 1 as classes, 0 as right_ones
    from predictions
)

select
    value,
    sum(labels) as label_rows,
    sum(predictions) as prediction_rows,
    sum(classes) as class_rows,
    sum(right_ones) as right_rows
from each_value
where value is not null
group by value
order by value

-- tags
create or replace temp view tags as
SELECT "t0"."image_id", CASE WHEN ("t0"."tag" < '!') AND (TRIM("t0"."tag", ' 	
') = '') THEN CAST(NULL AS TEXT) ELSE "t0"."tag" END AS "tag" FROM "temp"."main"."source_tags_rows" AS "t0"

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
    cast(ceil(3 * (cast(errors as double) / images + 0.3 - 2e-9)) as bigint) as min_errors
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
select tag from vocabulary

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

-- class_tags
create or replace temp table class_tags as
select
    o.class_id as class_id,
    g.tag_id as tag_id,
    o.image_no as image_no,
    o.error as error
from image_tags as g
inner join images as i on i.image_key = g.image_key
inner join outcomes as o on o.image_id = i.image_id

-- tagged
create or replace temp table tagged as
with frequent_tags as (
    select class_id, tag_id, count(*) as images
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

-- rare_tags
create or replace temp table rare_tags as
with rare_tags as (
    select class_id, tag_id
    from class_tags
    group by class_id, tag_id
    having count(*) < 3
)

select
    t.class_id as class_id,
    t.image_no as image_no,
    v.tag as tag
from class_tags as t
inner join rare_tags as r on r.class_id = t.class_id and r.tag_id = t.tag_id
inner join vocabulary as v on v.tag_id = t.tag_id

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

-- work
with sized as (
    select
        s.class_id as class_id,
        c.images as images,
        count(*) as tags,
        sum(s.errors) as tagged_errors,
        -- Pairs of tags that the errors carry. Tags cluster on some errors, so this allows for
        -- twice as many as if each had the same number of tags.
        least(
            cast(count(*) as double) * (count(*) - 1) / 2,
            cast(sum(s.errors) as double) * sum(s.errors) / c.errors
        ) as pairs
    from candidates_1 as s
    inner join classes as c on c.class_id = s.class_id
    group by s.class_id, c.images, c.errors
)

select
    class_id,
    -- Rows of a hash table, those of its groups, and the bits of each tag, read and written.
    cast(tagged_errors * 32 + pairs * 96 + cast(tags as double) * images / 4 as bigint) as bytes
from sized
order by class_id

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

-- tag_names
create or replace temp table tag_names as
select tag_id, tag as name, tag, 1 as present
from vocabulary

-- work
select sum(estimated_size) from duckdb_tables() where table_name in ('counts_1')

-- tag_sets
create or replace temp table tag_sets as
select
    c.class_name as class_name,
n_1.name as tags,
    1 as tag_count,
    n_1.name as tag_1,
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
left join tag_names as n_1 on n_1.tag_id = s.tag_1

-- failure_modes
create or replace temp table failure_modes as
with minimal as (
    -- 1e-9: comparisons are inclusive, however an engine rounds.
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
    -- Hashes all have the same length, so no class or tag can run into the next one.
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
with margins as (
    select
        mode_id,
        tag_1 as name,
        class_accuracy as accuracy_without,
        class_accuracy - accuracy as necessity_margin
    from failure_modes
    where tag_count = 1
)

select
    m.mode_id as mode_id,
    n.tag as tag,
    n.present = 1 as present,
    m.accuracy_without as accuracy_without,
    m.necessity_margin as necessity_margin
from margins as m
inner join tag_names as n on n.name = m.name

-- check_why_none
with all_classes as (
    select
        count(*) as classes,
        sum(c.images) as images,
        sum(c.errors) as errors,
        max(c.images) as largest_class,
        min(c.min_errors) as fewest_errors
    from classes as c
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
    (select count(*) from "tagged") as frequent_tags,
    s.tag_sets as tag_sets,
    s.largest_drop as largest_drop
from all_classes as c
cross join all_tag_sets as s

-- tested
create or replace temp table tested as
with numbers as (
    select class_images, class_errors, images, errors
    from "memory"."prime".failure_modes
    where run_id = 1
)

select
    class_images,
    class_errors,
    images,
    errors,
    cast(least(
        case
            when class_errors = errors or images = errors then 1
            when cast(class_errors - errors as double) * (images - errors)
            / (cast(errors + 1 as double) * (class_images - class_errors - images + errors + 1)) between 0 and 0.99 then ceil(2 - 39.2 / ln(
                case when cast(class_errors - errors as double) * (images - errors)
            / (cast(errors + 1 as double) * (class_images - class_errors - images + errors + 1)) between 0 and 0.99 then cast(class_errors - errors as double) * (images - errors)
            / (cast(errors + 1 as double) * (class_images - class_errors - images + errors + 1)) else 0.99 end
            ))
            else 1e9
        end,
        least(images, class_errors) - errors + 1,
        ceil(60 + 12 * sqrt(
            cast(images as double) * class_errors / class_images
            * (1 - cast(class_errors as double) / class_images)
        ))
    ) as bigint) as terms,
    count(*) as tag_sets
from numbers
where errors * class_images > images * class_errors
group by class_images, class_errors, images, errors

-- tested
select coalesce(max(terms), 1) from tested

-- p_values
create or replace temp table p_values as
with digits as (
    select 0 as digit
    union all select 1 as digit
    union all select 2 as digit
    union all select 3 as digit
    union all select 4 as digit
    union all select 5 as digit
    union all select 6 as digit
    union all select 7 as digit
    union all select 8 as digit
    union all select 9 as digit
),

numbers as (
    select
        1 * d_0.digit
        as number
    from digits as d_0
),

-- The argument of log_factorial for each number: 8 more.
raised as (
    select
        class_images,
        class_errors,
        images,
        errors,
        tag_sets,
        terms,
        cast(class_images as double) + 8 as m_class_images,
        cast(class_errors as double) + 8 as m_class_errors,
        cast(class_images - class_errors as double) + 8 as m_class_right,
        cast(images as double) + 8 as m_images,
        cast(class_images - images as double) + 8 as m_others
    from tested
),

-- ln of the binomial coefficients that all terms have in common.
common as (
    select
        class_images,
        class_errors,
        images,
        errors,
        tag_sets,
        terms,
        ((m_class_errors + 0.5) * ln(m_class_errors) - m_class_errors + 0.91893853320467274178
    + 1 / (12 * m_class_errors) - 1 / (360 * power(m_class_errors, 3))
    + 1 / (1260 * power(m_class_errors, 5)) - 1 / (1680 * power(m_class_errors, 7))
    - ln(m_class_errors * (m_class_errors - 1) * (m_class_errors - 2) * (m_class_errors - 3))
    - ln((m_class_errors - 4) * (m_class_errors - 5) * (m_class_errors - 6) * (m_class_errors - 7)))
            + ((m_class_right + 0.5) * ln(m_class_right) - m_class_right + 0.91893853320467274178
    + 1 / (12 * m_class_right) - 1 / (360 * power(m_class_right, 3))
    + 1 / (1260 * power(m_class_right, 5)) - 1 / (1680 * power(m_class_right, 7))
    - ln(m_class_right * (m_class_right - 1) * (m_class_right - 2) * (m_class_right - 3))
    - ln((m_class_right - 4) * (m_class_right - 5) * (m_class_right - 6) * (m_class_right - 7)))
            + ((m_images + 0.5) * ln(m_images) - m_images + 0.91893853320467274178
    + 1 / (12 * m_images) - 1 / (360 * power(m_images, 3))
    + 1 / (1260 * power(m_images, 5)) - 1 / (1680 * power(m_images, 7))
    - ln(m_images * (m_images - 1) * (m_images - 2) * (m_images - 3))
    - ln((m_images - 4) * (m_images - 5) * (m_images - 6) * (m_images - 7)))
            + ((m_others + 0.5) * ln(m_others) - m_others + 0.91893853320467274178
    + 1 / (12 * m_others) - 1 / (360 * power(m_others, 3))
    + 1 / (1260 * power(m_others, 5)) - 1 / (1680 * power(m_others, 7))
    - ln(m_others * (m_others - 1) * (m_others - 2) * (m_others - 3))
    - ln((m_others - 4) * (m_others - 5) * (m_others - 6) * (m_others - 7)))
            - ((m_class_images + 0.5) * ln(m_class_images) - m_class_images + 0.91893853320467274178
    + 1 / (12 * m_class_images) - 1 / (360 * power(m_class_images, 3))
    + 1 / (1260 * power(m_class_images, 5)) - 1 / (1680 * power(m_class_images, 7))
    - ln(m_class_images * (m_class_images - 1) * (m_class_images - 2) * (m_class_images - 3))
    - ln((m_class_images - 4) * (m_class_images - 5) * (m_class_images - 6) * (m_class_images - 7))) as log_common
    from raised
),

summands as (
    select
        t.class_images as class_images,
        t.class_errors as class_errors,
        t.images as images,
        t.errors as errors,
        t.tag_sets as tag_sets,
        t.log_common as log_common,
        cast(t.errors + n.number as double) + 8 as m_errors,
        cast(t.class_errors - t.errors - n.number as double) + 8 as m_other_errors,
        cast(t.images - t.errors - n.number as double) + 8 as m_right,
        cast(t.class_images - t.class_errors - t.images + t.errors + n.number as double) + 8
            as m_other_right
    from common as t
    inner join numbers as n on n.number < t.terms
    where
        -- Other numbers of errors are impossible: there are not that many right images.
        t.images - t.errors - n.number <= t.class_images - t.class_errors
)

select
    class_images,
    class_errors,
    images,
    errors,
    tag_sets,
    least(1.0, sum(exp(
        log_common
        - ((m_errors + 0.5) * ln(m_errors) - m_errors + 0.91893853320467274178
    + 1 / (12 * m_errors) - 1 / (360 * power(m_errors, 3))
    + 1 / (1260 * power(m_errors, 5)) - 1 / (1680 * power(m_errors, 7))
    - ln(m_errors * (m_errors - 1) * (m_errors - 2) * (m_errors - 3))
    - ln((m_errors - 4) * (m_errors - 5) * (m_errors - 6) * (m_errors - 7)))
        - ((m_other_errors + 0.5) * ln(m_other_errors) - m_other_errors + 0.91893853320467274178
    + 1 / (12 * m_other_errors) - 1 / (360 * power(m_other_errors, 3))
    + 1 / (1260 * power(m_other_errors, 5)) - 1 / (1680 * power(m_other_errors, 7))
    - ln(m_other_errors * (m_other_errors - 1) * (m_other_errors - 2) * (m_other_errors - 3))
    - ln((m_other_errors - 4) * (m_other_errors - 5) * (m_other_errors - 6) * (m_other_errors - 7)))
        - ((m_right + 0.5) * ln(m_right) - m_right + 0.91893853320467274178
    + 1 / (12 * m_right) - 1 / (360 * power(m_right, 3))
    + 1 / (1260 * power(m_right, 5)) - 1 / (1680 * power(m_right, 7))
    - ln(m_right * (m_right - 1) * (m_right - 2) * (m_right - 3))
    - ln((m_right - 4) * (m_right - 5) * (m_right - 6) * (m_right - 7)))
        - ((m_other_right + 0.5) * ln(m_other_right) - m_other_right + 0.91893853320467274178
    + 1 / (12 * m_other_right) - 1 / (360 * power(m_other_right, 3))
    + 1 / (1260 * power(m_other_right, 5)) - 1 / (1680 * power(m_other_right, 7))
    - ln(m_other_right * (m_other_right - 1) * (m_other_right - 2) * (m_other_right - 3))
    - ln((m_other_right - 4) * (m_other_right - 5) * (m_other_right - 6) * (m_other_right - 7)))
    ))) as p_value
from summands
group by class_images, class_errors, images, errors, tag_sets

-- chance
delete from "memory"."prime".failure_mode_chance where run_id = 1

-- chance
insert into "memory"."prime".failure_mode_chance
with ranked as (
    -- Sets that were never counted have too few errors to come before a failure mode, so they
    -- increase the number of tests but change no rank.
    select
        class_images,
        class_errors,
        images,
        errors,
        p_value,
        cast(null as double) as rate
    from p_values
),

adjusted as (
    select
        class_images,
        class_errors,
        images,
        errors,
        p_value,
        min(rate) over (order by p_value desc) as rate
    from ranked
)

select
    m.run_id as run_id,
    m.mode_id as mode_id,
    greatest(0, (1 - cast(m.errors as double) / m.images + 3.8414588206941254 / (2.0 * m.images)
    - 1.959963984540054 * sqrt(
        cast(m.errors as double) / m.images * (1 - cast(m.errors as double) / m.images) / m.images
        + 3.8414588206941254 / (4.0 * m.images * m.images)
    )) / (1 + 3.8414588206941254 / m.images)) as accuracy_low,
    least(1, (1 - cast(m.errors as double) / m.images + 3.8414588206941254 / (2.0 * m.images)
    + 1.959963984540054 * sqrt(
        cast(m.errors as double) / m.images * (1 - cast(m.errors as double) / m.images) / m.images
        + 3.8414588206941254 / (4.0 * m.images * m.images)
    )) / (1 + 3.8414588206941254 / m.images)) as accuracy_high,
    a.p_value as p_value,
    case when a.rate > 1 then 1 else a.rate end as q_value,
    cast(null as double) as family_wise_p
from "memory"."prime".failure_modes as m
inner join adjusted as a
    on a.class_images = m.class_images
    and a.class_errors = m.class_errors
    and a.images = m.images
    and a.errors = m.errors
where m.run_id = 1
