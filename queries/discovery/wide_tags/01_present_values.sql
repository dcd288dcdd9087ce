-- Which values of a wide tags table do not say that the image lacks the tag?
-- reads: source_wide (the user's table)
-- parameter image_id: its column of images
-- parameter columns: for each other column its name and its kind: truth, number or text
-- returns: image_id, tag (the name of the column), value, is_present (1 for true, 0 for what is neither
--    true nor false)
{% for name, kind in columns %}
{{ "" if loop.first else "union all" }}
select
    cast(w.{{ image_id | identifier }} as varchar) as image_id,
    {{ name | literal }} as tag,
{% if kind == 'truth' %}
    'true' as value,
    1 as is_present
from source_wide as w
where w.{{ name | identifier }}
{% elif kind == 'number' %}
    cast(w.{{ name | identifier }} as varchar) as value,
    case when w.{{ name | identifier }} = 1 then 1 else 0 end as is_present
from source_wide as w
where w.{{ name | identifier }} <> 0
{% else %}
    cast(w.{{ name | identifier }} as varchar) as value,
    case
        when lower(cast(w.{{ name | identifier }} as varchar)) in ('true', 't', 'yes', 'y', '1', '1.0') then 1
        else 0
    end as is_present
from source_wide as w
where lower(cast(w.{{ name | identifier }} as varchar)) not in ('false', 'f', 'no', 'n', '0', '0.0')
{% endif %}
{% endfor %}
