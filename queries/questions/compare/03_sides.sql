-- What is known about each failure mode of two runs, and can it be compared?
-- reads: wanted, counts_a, counts_b
-- parameter min_images_a: fewest images of a failure mode in run A
-- parameter min_images_b: fewest images of a failure mode in run B
-- parameter min_drop_a: smallest accuracy drop in run A
-- parameter min_drop_b: smallest accuracy drop in run B
-- returns: mode_id, class_name, tags, tag_count; is_mode, images, errors, class_images, class_errors
--    of both (_a, _b); min_drop (of the run that found it, A if both did); compared (1 if both runs
--    found it, or the other one has as many images as the finder asks for, else 0)
with modes as (
    select mode_id, class_name, tags, tag_count
    from wanted
    group by mode_id, class_name, tags, tag_count
)

select
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
{% for side in "ab" %}
    {{ side }}.is_mode as is_mode_{{ side }},
    {{ side }}.images as images_{{ side }},
    {{ side }}.errors as errors_{{ side }},
    {{ side }}.class_images as class_images_{{ side }},
    {{ side }}.class_errors as class_errors_{{ side }},
{% endfor %}
    case when a.is_mode = 1 then {{ min_drop_a }} else {{ min_drop_b }} end as min_drop,
    case
        when a.is_mode = 1 and b.is_mode = 1 then 1
        when a.is_mode = 1 and b.images >= {{ min_images_a }} then 1
        when b.is_mode = 1 and a.images >= {{ min_images_b }} then 1
        else 0
    end as compared
from modes as m
inner join counts_a as a on a.mode_id = m.mode_id
inner join counts_b as b on b.mode_id = m.mode_id
