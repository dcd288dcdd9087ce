-- How do the failure modes spread over a business column, and what do they cost?
-- reads: failure_modes, failure_mode_images, any table with an image_id
-- asked as: failure_modes_by
-- parameter column: the column of that table to break the modes down by
-- parameter table = None: that table, or a file; the one table with such columns if left out
-- parameter image_id = 'image_id': its column of image ids
-- parameter measure = None: a numeric column to sum over the errors, such as cost
-- returns: the column's value, class_name, tags, images, errors, accuracy, the sum of the measure
--    (if any) over the errors, mode_id; one row for each value and failure mode, most errors (or
--    the largest sum) first
select
    b.{{ column | identifier }} as {{ column | identifier }},
    m.class_name as class_name,
    m.tags as tags,
    count(*) as images,
    cast(sum(i.error) as bigint) as errors,
    cast(count(*) - sum(i.error) as double) / count(*) as accuracy,
{% if measure is not none %}
    sum(case when i.error = 1 then b.{{ measure | identifier }} end) as {{ ("error_" ~ measure) | identifier }},
{% endif %}
    m.mode_id as mode_id
from failure_modes as m
inner join failure_mode_images as i on i.mode_id = m.mode_id
inner join {{ table }} as b on cast(b.{{ image_id | identifier }} as varchar) = i.image_id
group by b.{{ column | identifier }}, m.class_name, m.tags, m.mode_id
order by
{% if measure is not none %}
    sum(case when i.error = 1 then b.{{ measure | identifier }} end) desc nulls last,
{% endif %}
    sum(i.error) desc,
    count(*) desc,
    m.class_name,
    m.tags,
    b.{{ column | identifier }}
