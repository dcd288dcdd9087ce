-- Which tags does the user's table hold?
-- reads: the user's table, one row for each image and tag
-- parameter table: the table, as SQL
-- parameter image_id: its column of images, as SQL
-- parameter tag: its column of tags, as SQL
-- parameter score: its column of scores, as SQL
-- parameter min_score: tags with a lower score, or without one, are left out; none keeps all
-- returns: image_id, tag (null where it is blank)
select
    cast(g.{{ image_id }} as varchar) as image_id,
    case
        -- Not trim: some engines remove more than spaces.
        when replace(replace(replace(replace(
            cast(g.{{ tag }} as varchar), chr(9), ''
        ), chr(10), ''), chr(13), ''), ' ', '') <> '' then cast(g.{{ tag }} as varchar)
    end as tag
from {{ table }} as g
{% if min_score is not none %}
-- Some engines sort "not a number" as the largest of all.
where g.{{ score }} >= {{ min_score }}
    -- As text: a literal of this size is not a double everywhere.
    and g.{{ score }} <= cast('1.7976931348623157e308' as double)
{% endif %}
