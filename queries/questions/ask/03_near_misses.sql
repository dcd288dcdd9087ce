-- Which counted tag sets fail only one of the three conditions, and by how much?
-- reads: tag_sets, classes
-- asked as: near_misses
-- parameter min_images = None: fewest images of a failure mode; the run's if left out
-- parameter min_drop = None: smallest accuracy drop; the run's if left out
-- parameter necessity = None: b_2, b_3, … as in 0.1,0.05; the run's if left out
-- parameter most = 50: how many rows
-- returns: class_name, tags, missed (images, accuracy_drop or necessity), missed_by (in images, or as a
--    fraction), images, errors, accuracy, class_accuracy, accuracy_drop, necessity_margin, tag_count;
--    nearest first, relative to the threshold. Sets with too few errors for the search to count
--    are left out.
with measured as (
    select
        s.class_name as class_name,
        s.tags as tags,
        s.tag_count as tag_count,
        s.images as images,
        s.errors as errors,
        s.accuracy as accuracy,
        c.accuracy as class_accuracy,
        c.accuracy - s.accuracy as accuracy_drop,
        s.necessity_margin as necessity_margin,
        {{ min_images | number }} as min_images,
        {{ min_drop | number }} as min_drop,
        case s.tag_count
{% for margin in necessity %}
            when {{ loop.index }} then {{ margin | number }}
{% endfor %}
        end as necessity
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
),

judged as (
    select
        *,
        case when images < min_images then 1 else 0 end as too_few,
        case when accuracy_drop < min_drop - 1e-9 then 1 else 0 end as too_small,
        case when necessity_margin < necessity - 1e-9 then 1 else 0 end as unnecessary
    from measured
),

missed as (
    select
        *,
        case
            when too_few = 1 then 'images'
            when too_small = 1 then 'accuracy_drop'
            else 'necessity'
        end as missed,
        case
            when too_few = 1 then cast(min_images - images as double)
            when too_small = 1 then cast(min_drop - accuracy_drop as double)
            else cast(necessity - necessity_margin as double)
        end as missed_by,
        case
            when too_few = 1 then cast(min_images as double)
            when too_small = 1 then cast(min_drop as double)
            when necessity > 0 then cast(necessity as double)
            else 0.01
        end as threshold
    from judged
    where too_few + too_small + unnecessary = 1
)

select
    class_name,
    tags,
    missed,
    missed_by,
    images,
    errors,
    accuracy,
    class_accuracy,
    accuracy_drop,
    necessity_margin,
    tag_count
from missed
order by missed_by / threshold, class_name, tag_count, tags
limit {{ most | number }}
