-- Which images of the pool match the failure mode?
-- reads: wanted, carried, similarities, seen, and tables of images
-- parameter images: quoted names of tables with image_id and uri; the first that has the image counts
-- parameter min_similarity: least similarity of an image whose tags do not match, or none
-- returns: image_id, uri (null where unknown), matched_by (tags or similarity), carried_tags (null
--    where the image was not tagged), similarity (null where unknown), seen (1: the run has it)
with wanted_tags as (
    select sum(present) as tags
    from wanted
),

known as (
    select image_id
    from carried

    union

    select image_id
    from similarities
),

{% for table in images %}
uris_{{ loop.index }} as (
    select
        cast(image_id as varchar) as image_id,
        min(cast(uri as varchar)) as uri
    from {{ table }}
    group by cast(image_id as varchar)
),

{% endfor %}
matched as (
    select
        k.image_id as image_id,
        case
            when c.carried = w.tags and c.unwanted = 0 then 'tags'
            when
                coalesce(c.unwanted, 0) = 0
                and s.similarity >= {{ -1.1 if min_similarity is none else min_similarity }}
                then 'similarity'
        end as matched_by,
        c.carried as carried_tags,
        s.similarity as similarity
    from known as k
    cross join wanted_tags as w
    left join carried as c on c.image_id = k.image_id
    left join similarities as s on s.image_id = k.image_id
)

select
    m.image_id as image_id,
{% if images | length > 1 %}
    coalesce(u_1.uri, u_2.uri) as uri,
{% else %}
    {{ "u_1.uri" if images else "cast(null as varchar)" }} as uri,
{% endif %}
    m.matched_by as matched_by,
    m.carried_tags as carried_tags,
    m.similarity as similarity,
    case when s.image_id is null then 0 else 1 end as seen
from matched as m
left join seen as s on s.image_id = m.image_id
{% for table in images %}
left join uris_{{ loop.index }} as u_{{ loop.index }} on u_{{ loop.index }}.image_id = m.image_id
{% endfor %}
where m.matched_by is not null
