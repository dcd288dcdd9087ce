-- Which sets are the least accurate of their class?
-- reads: size 1: frequent; larger: extended
-- parameter size: tags in a set
-- parameter width: how many sets of a class are kept
-- parameter min_images: fewest images of a failure mode
-- returns: class_id, tag_1 ... tag_size
{% set tags = range(1, size + 1) %}
with sized as (
{% if size == 1 %}
    select
        class_id,
        tag_id as tag_1,
        count(*) as images,
        sum(error) as errors
    from frequent
    group by class_id, tag_id
    having count(*) >= {{ min_images }}
{% else %}
    select *
    from extended
{% endif %}
),

ranked as (
    select
        class_id,
{% for i in tags %}
        tag_{{ i }},
{% endfor %}
        row_number() over (
            partition by class_id
            order by
                cast(errors as double) / images desc,
                images desc{% for i in tags %},
                tag_{{ i }}
{%- endfor %}

        ) as place
    from sized
)

select
    class_id{% for i in tags %},
    tag_{{ i }}
{%- endfor %}

from ranked
where place <= {{ width }}
