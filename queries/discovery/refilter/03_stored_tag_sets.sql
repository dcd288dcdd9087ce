-- Other thresholds: which of the stored tag sets would a search have counted?
-- reads: prime.tag_sets, classes and tag_names (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the stored run
-- parameter max_tags: tags in the largest set
-- parameter largest: how many tag columns there are
-- parameter min_tag_images: fewest images of a tag that counts in a class
-- returns: the columns of tag_sets
with enough_errors as (
    select
        s.class_name as class_name,
        s.tags as tags,
        s.tag_count as tag_count,
{% for i in range(1, largest + 1) %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        s.images as images,
        s.errors as errors,
        s.accuracy as accuracy,
        s.necessity_margin as necessity_margin
    from {{ schema }}.tag_sets as s
    inner join classes as c on c.class_name = s.class_name
    where
        s.run_id = {{ run_id }}
        and s.tag_count <= {{ max_tags }}
        and s.errors >= c.min_errors
),

rare_tags as (
    -- Of an absent tag, the images that carry it count as well as those that lack it.
    select s.class_name as class_name, s.tag_1 as tag
    from enough_errors as s
    inner join classes as c on c.class_name = s.class_name
    inner join tag_names as n on n.name = s.tag_1
    where
        s.tag_count = 1
        and (
            s.images < {{ min_tag_images }}
            or (n.present = 0 and c.images - s.images < {{ min_tag_images }})
        )
)

select
    s.class_name as class_name,
    s.tags as tags,
    s.tag_count as tag_count,
{% for i in range(1, largest + 1) %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
    s.images as images,
    s.errors as errors,
    s.accuracy as accuracy,
    s.necessity_margin as necessity_margin
from enough_errors as s
{% for i in range(1, largest + 1) %}
left join rare_tags as rare_{{ i }}
    on rare_{{ i }}.class_name = s.class_name and rare_{{ i }}.tag = s.tag_{{ i }}
{% endfor %}
where
{% for i in range(1, largest + 1) %}
    {{ "" if loop.first else "and " }}rare_{{ i }}.tag is null
{% endfor %}
