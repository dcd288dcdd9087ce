-- Which cells of a grid of thresholds cannot be answered from the counts of a run?
-- reads: classes
-- parameter cells: the grid: min_images, min_drop and tag_images of each cell
-- parameter counted_min_images: fewest images of a failure mode in the run that counted
-- parameter counted_min_drop: smallest accuracy drop in the run that counted
-- parameter counted_tag_images: fewest images on which it counted a tag
-- parameter max_absent: how many tags of a set may be absent
-- returns: min_images, min_drop, class_name (null if rare tags are missing, else the first class
--    with sets that were not counted), counted and needed (images of a tag, or errors of a set); one
--    row for each such cell, loosest first
{% from 'definitions.jinja' import fewest_errors %}
{# A tag on fewer images than a set needs is in no set, but sets without it may be large. #}
{% set needed_tag_images = "tag_images" if max_absent else "greatest(tag_images, min_images)" %}
with cells as (
{% for cell in cells %}
    {{ "" if loop.first else "union all " }}select
        {{ cell.min_images }} as min_images,
        cast({{ cell.min_drop }} as double) as min_drop,
        {{ cell.tag_images }} as tag_images
{% endfor %}
),

bounds as (
    select
        g.min_images as min_images,
        g.min_drop as min_drop,
        c.class_name as class_name,
        {{ fewest_errors("c.errors", "c.images", counted_min_images, counted_min_drop) }} as counted,
        {{ fewest_errors("c.errors", "c.images", "g.min_images", "g.min_drop") }} as needed,
        c.images as images,
        c.errors as errors
    from cells as g
    cross join classes as c
),

narrow as (
    select
        min_images,
        min_drop,
        class_name,
        counted,
        needed,
        row_number() over (partition by min_images, min_drop order by class_name) as place
    from bounds
    where needed < counted and errors >= needed and images >= min_images
)

select
    min_images,
    min_drop,
    cast(null as varchar) as class_name,
    cast({{ counted_tag_images }} as bigint) as counted,
    cast({{ needed_tag_images }} as bigint) as needed
from cells
where {{ needed_tag_images }} < {{ counted_tag_images }}

union all

select
    min_images,
    min_drop,
    class_name,
    counted,
    needed
from narrow
where place = 1
order by min_images, min_drop, class_name nulls first
