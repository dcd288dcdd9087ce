-- Which values of a wide tags table do not say that the image lacks the tag?
-- reads: source_wide (the user's table)
-- parameter image_id: its column of images
-- parameter columns: for each other column its name and its kind: truth, number or text
-- returns: image_id, tag (the name of the column), value, is_present (1 for true, 0 for what is neither
--    true nor false)
{% set kinds = columns | map(attribute=1) | unique | list %}
{% for kind in kinds %}
{{ "" if loop.first else "union all" }}
select
    "image of the row" as image_id,
    "name of the column" as tag,
{% if kind == 'truth' %}
    'true' as value,
    1 as is_present
{% elif kind == 'number' %}
    regexp_replace(cast("value of the column" as varchar), '[.]0$', '') as value,
    case when "value of the column" = 1 then 1 else 0 end as is_present
{% else %}
    "value of the column" as value,
    case
        when lower("value of the column") in ('true', 't', 'yes', 'y', '1', '1.0') then 1
        else 0
    end as is_present
{% endif %}
from (
    unpivot (
        select
            cast({{ image_id | identifier }} as varchar) as "image of the row",
{% for name, its_kind in columns if its_kind == kind %}
{% if kind == 'number' %}
            cast({{ name | identifier }} as double) as {{ name | identifier }}{{ "" if loop.last else "," }}
{% else %}
            {{ name | identifier }}{{ "" if loop.last else "," }}
{% endif %}
{% endfor %}
        from source_wide
    )
    on columns(* exclude ("image of the row"))
    into
        name "name of the column"
        value "value of the column"
)
{% if kind == 'truth' %}
where "value of the column"
{% elif kind == 'number' %}
where "value of the column" <> 0
{% else %}
where lower("value of the column") not in ('false', 'f', 'no', 'n', '0', '0.0')
{% endif %}
{% endfor %}
