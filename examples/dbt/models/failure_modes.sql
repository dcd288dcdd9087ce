-- Failure modes: the smallest tag sets on which accuracy drops sharply. duckdb.
-- Made by prime-sql 0.1.0 compile from   source('emoji', 'predictions')   and   source('emoji', 'tags')  .
-- Options: max_tags 2, min_images 20, min_drop 0.5.
-- Assumes: every image is in its class only once; image_id, label and prediction are never
-- null.
with source_predictions as (
    select
        p.image_id as image_id,
        p.label as label,
        p.prediction as prediction
    from {{ source('emoji', 'predictions') }} as p
),

prime_sql_tags as (
    select
        cast(g.image_id as varchar) as image_id,
        case
            -- Not trim: some engines remove more than spaces.
            when replace(replace(replace(replace(
                cast(g.tag as varchar), chr(9), ''
            ), chr(10), ''), chr(13), ''), ' ', '') <> '' then cast(g.tag as varchar)
        end as tag
    from {{ source('emoji', 'tags') }} as g
),

prime_sql_predictions as (
    select
        cast(image_id as varchar) as image_id,
        cast(label as varchar) as label,
        cast(prediction as varchar) as prediction,
        cast("label" as varchar) as class_name,
        case when label <> prediction then 1 when label = prediction then 0 end as error
    from source_predictions
),

classes as (
    with counted as (
        select
            class_name,
            cast(count(*) as bigint) as images,
            cast(sum(error) as bigint) as errors
        from prime_sql_predictions
        group by class_name
    )

    select
        cast(row_number() over (order by class_name) as integer) as class_id,
        class_name,
        images,
        errors,
        cast(images - errors as double) / images as accuracy,
        cast(ceil(20 * (cast(errors as double) / images + 0.5 - 2e-9)) as bigint) as min_errors
    from counted
),

outcomes as (
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
    from prime_sql_predictions as p
    inner join classes as c on c.class_name = p.class_name
),

images as (
    select
        cast(row_number() over (order by image_id) as integer) as image_key,
        image_id
    from outcomes
    group by image_id
),

vocabulary as (
    select
        cast(row_number() over (order by tag) as integer) as tag_id,
        tag
    from prime_sql_tags
    where tag is not null
    group by tag
),

image_tags as (
    select
        i.image_key as image_key,
        v.tag_id as tag_id,
        count(*) as copies
    from prime_sql_tags as t
    inner join images as i on i.image_id = t.image_id
    inner join vocabulary as v on v.tag = t.tag
    group by i.image_key, v.tag_id
),

class_tags as (
    select
        o.class_id as class_id,
        g.tag_id as tag_id,
        o.image_no as image_no,
        o.error as error
    from image_tags as g
    inner join images as i on i.image_key = g.image_key
    inner join outcomes as o on o.image_id = i.image_id
),

tagged as (
    with frequent_tags as (
        select class_id, tag_id, count(*) as images
        from class_tags
        group by class_id, tag_id
        having count(*) >= 20
    )

    select
        t.class_id as class_id,
        t.tag_id as tag_id,
        t.image_no as image_no,
        t.error as error
    from class_tags as t
    inner join frequent_tags as f on f.class_id = t.class_id and f.tag_id = t.tag_id
),

candidates_1 as (
    select
        t.class_id as class_id,
        t.tag_id as tag_1,
        count(*) as errors
    from tagged as t
    inner join classes as c on c.class_id = t.class_id
    where t.error = 1
    group by t.class_id, t.tag_id, c.min_errors
    having count(*) >= c.min_errors
),

members_1 as (
    select
        t.class_id as class_id,
        t.tag_id as tag_1,
        t.image_no as image_no,
        t.error as error
    from tagged as t
    inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
),

counts_1 as (
    select
        class_id,
        tag_1,
        cast(count(*) as bigint) as images,
        cast(sum(error) as bigint) as errors
    from members_1
    group by
        class_id,
        tag_1
),

candidates_2 as (
    -- Only misclassified images are counted, and only sets grown from survivors: errors fall as a set
    -- grows, so every subset of a survivor survives.
    select
        m.class_id as class_id,
        m.tag_1 as tag_1,
        t.tag_1 as tag_2,
        count(*) as errors
    from members_1 as m
    inner join members_1 as t
        on t.class_id = m.class_id
        and t.image_no = m.image_no
        and t.tag_1 > m.tag_1
    inner join classes as c on c.class_id = m.class_id
    where
        m.error = 1
        and t.error = 1
    group by
        m.class_id,
        m.tag_1,
        t.tag_1,
        c.min_errors
    having count(*) >= c.min_errors
),

members_2 as (
    select
        s.class_id as class_id,
        s.tag_1 as tag_1,
        s.tag_2 as tag_2,
        m.image_no as image_no,
        m.error as error
    from candidates_2 as s
    inner join members_1 as m
        on m.class_id = s.class_id
        and m.tag_1 = s.tag_1
    inner join members_1 as t
        on t.class_id = s.class_id
        and t.tag_1 = s.tag_2
        and t.image_no = m.image_no
),

counts_2 as (
    select
        class_id,
        tag_1,
        tag_2,
        cast(count(*) as bigint) as images,
        cast(sum(error) as bigint) as errors
    from members_2
    group by
        class_id,
        tag_1,
        tag_2
),

tag_names as (
    select tag_id, tag as name, tag, 1 as present
    from vocabulary
),

tag_sets as (
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

    union all

    select
        c.class_name as class_name,
    n_1.name || ' + ' || n_2.name as tags,
        2 as tag_count,
        n_1.name as tag_1,
        n_2.name as tag_2,
        cast(null as varchar) as tag_3,
        cast(null as varchar) as tag_4,
        cast(null as varchar) as tag_5,
        cast(null as varchar) as tag_6,
        s.images as images,
        s.errors as errors,
        cast(s.images - s.errors as double) / s.images as accuracy,
        least(
            cast(without_1.images - without_1.errors as double)
                / without_1.images,
            cast(without_2.images - without_2.errors as double)
                / without_2.images
        ) - cast(s.images - s.errors as double) / s.images as necessity_margin
    from counts_2 as s
    inner join classes as c on c.class_id = s.class_id
    inner join counts_1 as without_1
        on without_1.class_id = s.class_id
        and without_1.tag_1 = s.tag_2
    inner join counts_1 as without_2
        on without_2.class_id = s.class_id
        and without_2.tag_1 = s.tag_1
    left join tag_names as n_1 on n_1.tag_id = s.tag_1
    left join tag_names as n_2 on n_2.tag_id = s.tag_2
),

failure_modes as (
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
            s.images >= 20
            and s.accuracy <= c.accuracy - 0.5 + 1e-9
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
            md5('["label"]') || md5(class_name)
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
)

select
    mode_id,
    class_name,
    tags,
    tag_count,
    images,
    errors,
    accuracy,
    class_images,
    class_errors,
    class_accuracy,
    accuracy_drop,
    excess_errors,
    error_coverage
from failure_modes
order by excess_errors desc, class_name, tags
