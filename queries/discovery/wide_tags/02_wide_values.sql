-- What does each column of a wide tags table hold for each image?
-- reads: source_wide (the user's table)
-- parameter image_id: its column of images
-- parameter columns: for each other column its name and its kind: truth, number or text
-- parameter as_numbers: whether all columns are read as numbers; else as text
-- returns: image_id, tag (the name of the column), value, where it is not null
{% for name, kind in columns %}
{{ "" if loop.first else "union all" }}
select
    cast(w.{{ image_id | identifier }} as varchar) as image_id,
    {{ name | literal }} as tag,
{% if as_numbers and kind == 'truth' %}
    case when w.{{ name | identifier }} then cast(1 as double) else cast(0 as double) end as value
{% else %}
    cast(w.{{ name | identifier }} as {{ 'double' if as_numbers else 'varchar' }}) as value
{% endif %}
from source_wide as w
where w.{{ name | identifier }} is not null
{% endfor %}
