-- What does each column of a wide tags table hold for each image?
-- reads: source_wide (the user's table)
-- parameter image_id: its column of images
-- parameter columns: for each other column its name and its kind: truth, number or text
-- parameter as_numbers: whether all columns are read as numbers; else as text
-- returns: image_id, tag (the name of the column), value, where it is not null (or not a number)
select
    "image of the row" as image_id,
    "name of the column" as tag,
    "value of the column" as value
from (
    unpivot (
        select
            cast({{ image_id | identifier }} as varchar) as "image of the row",
{% for name, _ in columns %}
{% if as_numbers %}
            nullif(cast({{ name | identifier }} as double), cast('nan' as double)) as {{ name | identifier }}{{ "" if loop.last else "," }}
{% else %}
            cast({{ name | identifier }} as varchar) as {{ name | identifier }}{{ "" if loop.last else "," }}
{% endif %}
{% endfor %}
        from source_wide
    )
    on columns(* exclude ("image of the row"))
    into
        name "name of the column"
        value "value of the column"
)
