-- Which images should be labelled first?
-- reads: matches
-- parameter limit: how many at most, or none
-- returns: place (from 1), image_id, uri, matched_by, carried_tags, similarity; those whose tags match
--    first, then by similarity
with placed as (
    select
        cast(row_number() over (
            order by
                case when matched_by = 'tags' then 0 else 1 end,
                case when similarity is null then 1 else 0 end,
                similarity desc,
                image_id
        ) as bigint) as place,
        image_id,
        uri,
        matched_by,
        carried_tags,
        similarity
    from matches
    where seen = 0
)

select
    place,
    image_id,
    uri,
    matched_by,
    carried_tags,
    similarity
from placed
{% if limit is not none %}
where place <= {{ limit }}
{% endif %}
order by place
