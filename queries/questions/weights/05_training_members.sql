-- Which of the images to train on fall in which failure mode? As discovery/unseen/08_unseen_counts
-- counts them.
-- reads: wanted_tags, unseen_vocabulary, unseen_tagged, images
-- parameter most: most rows of a mode in wanted_tags
-- returns: mode_id, image_id
{% set places = range(1, most + 1) %}
with support as (
    select class_tag_id, count(*) as images
    from unseen_tagged
    group by class_tag_id
),

-- A tag that is nowhere in these data may be missing only because no tagger looked for it.
unknown as (
    select w.mode_id as mode_id
    from wanted_tags as w
    left join unseen_vocabulary as v on v.tag = w.tag
    where w.present = 0 and v.tag is null
    group by w.mode_id
),

-- The rarest tag first, so that few images are joined with the others; absent tags last.
placed as (
    select
        w.mode_id as mode_id,
        w.class_tag_id as class_tag_id,
        w.present as present,
        row_number() over (
            partition by w.mode_id
            order by w.present desc, coalesce(s.images, 0), w.class_tag_id
        ) as place
    from wanted_tags as w
    left join support as s on s.class_tag_id = w.class_tag_id
    left join unknown as x on x.mode_id = w.mode_id
    where x.mode_id is null
),

modes as (
    select
        mode_id,
{% for i in places %}
        max(case when place = {{ i }} then class_tag_id end) as tag_{{ i }},
        max(case when place = {{ i }} then present end) as present_{{ i }}{{ "" if loop.last else "," }}
{% endfor %}
    from placed
    group by mode_id
)

select
    m.mode_id as mode_id,
    n.image_id as image_id
from modes as m
inner join unseen_tagged as t_1 on t_1.class_tag_id = m.tag_1
inner join images as n on n.image_key = t_1.image_key
{% for i in places if i > 1 %}
left join unseen_tagged as t_{{ i }}
    on t_{{ i }}.class_tag_id = m.tag_{{ i }} and t_{{ i }}.image_key = t_1.image_key
{% endfor %}
{% for i in places if i > 1 %}
{{ "where" if loop.first else "    and" }} (
    m.tag_{{ i }} is null
    or (m.present_{{ i }} = 1 and t_{{ i }}.image_key is not null)
    or (m.present_{{ i }} = 0 and t_{{ i }}.image_key is null)
)
{% endfor %}
