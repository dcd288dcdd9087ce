-- Which tag sets are failure modes?
-- reads: tag_sets, classes
-- parameter min_images: fewest images
-- parameter min_drop: smallest accuracy drop
-- parameter necessity: b_k by tag count, from 1 on
-- parameter grouping: what the class is, as text
-- parameter largest: how many tag columns there are
-- returns: mode_id (stable from run to run), class_name, tags, tag_count, images, errors,
--    accuracy, class_images, class_errors, class_accuracy, accuracy_drop, excess_errors,
--    error_coverage, tag_1 ... tag_6
with minimal as (
    -- 1e-9: comparisons are inclusive, however an engine rounds.
    select
        s.class_name as class_name,
        s.tags as tags,
        s.tag_count as tag_count,
{% for i in range(1, largest + 1) %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        s.images as images,
        s.errors as errors,
        s.accuracy as accuracy,
        c.images as class_images,
        c.errors as class_errors,
        c.accuracy as class_accuracy
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
    where
        s.images >= {{ min_images }}
        and s.accuracy <= c.accuracy - {{ min_drop }} + 1e-9
        and s.necessity_margin >= case s.tag_count
{% for margin in necessity %}
            when {{ loop.index }} then {{ margin }}
{% endfor %}
        end - 1e-9
)

select
    -- Hashes all have the same length, so no class or tag can run into the next one.
    substring(md5(
        md5({{ grouping | literal }}) || md5(class_name)
{% for i in range(1, largest + 1) %}
        || coalesce(md5(tag_{{ i }}), '')
{% endfor %}
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
{% for i in range(1, largest + 1) %}
    tag_{{ i }}{{ "" if loop.last else "," }}
{% endfor %}
from minimal
