-- Which image of the run so far carries which tag, rare tags included?
-- reads: prime.tagged, prime.vocabulary, prime.rare_tags, known_tags
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- returns: place (as in stored_images), tag_id (of known_tags)
{% from 'discovery/append/rows.jinja' import place %}
with numbers as (
    select
        v.tag_id as stored_id,
        k.tag_id as tag_id
    from {{ schema }}.vocabulary as v
    inner join known_tags as k on k.tag = v.tag
    where v.run_id = {{ run_id }}
)

select
    {{ place('t.class_id', 't.image_no') }} as place,
    n.tag_id as tag_id
from {{ schema }}.tagged as t
inner join numbers as n on n.stored_id = t.tag_id
where t.run_id = {{ run_id }}

union all

select
    {{ place('r.class_id', 'r.image_no') }} as place,
    k.tag_id as tag_id
from {{ schema }}.rare_tags as r
inner join known_tags as k on k.tag = r.tag
where r.run_id = {{ run_id }}
