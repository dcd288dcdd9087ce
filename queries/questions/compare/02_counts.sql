-- How many images and errors do the failure modes of two runs have in one of the runs?
-- reads: wanted (the mode_tags of both runs, each once), failure_modes, tag_sets, classes of the run;
--    vocabulary and tagged of the run that counted
-- parameter largest: how many tag columns there are
-- returns: mode_id, is_mode (1 where it is a failure mode of this run), class_images, class_errors
--    (null without the class), images, errors (null where a tag is not frequent in the class); one
--    row for each mode of either run
with modes as (
    select
        mode_id,
        class_name,
        tag_count,
        cast(sum(present) as bigint) as present_tags
    from wanted
    group by mode_id, class_name, tag_count
),

counted as (
    select
        w.mode_id as mode_id,
        s.images as images,
        s.errors as errors
    from wanted as w
    inner join tag_sets as s
        on s.class_name = w.class_name
        and s.tags = w.tags
        and s.tag_count = w.tag_count
        -- Two sets of tags may read alike: "a + b" and "c", "a" and "b + c".
        and w.name in (s.tag_1{% for i in range(2, largest + 1) %}, s.tag_{{ i }}{% endfor %})
    group by
        w.mode_id,
        w.tag_count,
        s.images,
        s.errors{% for i in range(1, largest + 1) %},
        s.tag_{{ i }}
{%- endfor %}

    having count(*) = w.tag_count
),

-- Sets with too few errors were never counted, so count their images. Only frequent tags have any.
hits as (
    select
        w.mode_id as mode_id,
        w.tag_count as tag_count,
        v.tag_id as tag_id,
        w.present as present,
        g.image_no as image_no,
        -- The errors of a class are its first image numbers.
        case when g.image_no < c.errors then 1 else 0 end as error
    from wanted as w
    inner join classes as c on c.class_name = w.class_name
    inner join vocabulary as v on v.tag = w.tag
    inner join tagged as g on g.class_id = c.class_id and g.tag_id = v.tag_id
    left join counted as s on s.mode_id = w.mode_id
    where s.mode_id is null
),

frequent as (
    select mode_id
    from hits
    group by mode_id, tag_count
    having count(distinct tag_id) = tag_count
),

image_hits as (
    select
        mode_id,
        image_no,
        error,
        sum(present) as present_hits,
        sum(1 - present) as absent_hits
    from hits
    group by mode_id, image_no, error
),

joined as (
    select
        m.mode_id as mode_id,
        cast(sum(
            case when h.present_hits = m.present_tags and h.absent_hits = 0 then 1 else 0 end
        ) as bigint) as images,
        cast(sum(
            case when h.present_hits = m.present_tags and h.absent_hits = 0 then h.error else 0 end
        ) as bigint) as errors,
        count(*) as hit_images,
        cast(sum(h.error) as bigint) as hit_errors
    from modes as m
    inner join frequent as f on f.mode_id = m.mode_id
    inner join image_hits as h on h.mode_id = m.mode_id
    group by m.mode_id
)

select
    m.mode_id as mode_id,
    case when f.mode_id is null then 0 else 1 end as is_mode,
    c.images as class_images,
    c.errors as class_errors,
    -- A mode of only absent tags: the images of the class that carry none of them.
    coalesce(
        s.images,
        case when m.present_tags = 0 then c.images - j.hit_images else j.images end
    ) as images,
    coalesce(
        s.errors,
        case when m.present_tags = 0 then c.errors - j.hit_errors else j.errors end
    ) as errors
from modes as m
left join classes as c on c.class_name = m.class_name
left join failure_modes as f on f.mode_id = m.mode_id
left join counted as s on s.mode_id = m.mode_id
left join joined as j on j.mode_id = m.mode_id
order by m.mode_id
