-- Which failure modes are new, fixed or persisting, and by how much did accuracy change?
-- reads: sides, tests
-- parameter max_q: the largest q-value of a significant change
-- returns: status, mode_id, class_name, tags, tag_count, images, errors, accuracy in A and in B,
--    accuracy_change (B - A) with its 95 % interval change_low to change_high (Newcombe's, from
--    the two Wilson intervals), p_value, q_value (null where not compared), class_accuracy, accuracy_drop and
--    is_mode in A and in B; new ones first, then persisting, fixed and undecided ones, each with the
--    most excess errors in either run first
{% from 'definitions.jinja' import wilson %}
with measured as (
    select
        s.mode_id as mode_id,
        s.class_name as class_name,
        s.tags as tags,
        s.tag_count as tag_count,
        s.min_drop as min_drop,
        s.compared as compared,
{% for side in "ab" %}
        s.is_mode_{{ side }} as is_mode_{{ side }},
        s.images_{{ side }} as images_{{ side }},
        s.errors_{{ side }} as errors_{{ side }},
        1 - cast(s.errors_{{ side }} as double) / nullif(s.images_{{ side }}, 0) as accuracy_{{ side }},
        1 - cast(s.class_errors_{{ side }} as double) / s.class_images_{{ side }} as class_accuracy_{{ side }},
        {{ wilson("s.errors_" ~ side, "nullif(s.images_" ~ side ~ ", 0)", "-") }} as low_{{ side }},
        {{ wilson("s.errors_" ~ side, "nullif(s.images_" ~ side ~ ", 0)", "+") }} as high_{{ side }},
{% endfor %}
        t.p_value as p_value,
        t.q_value as q_value
    from sides as s
    left join tests as t on t.mode_id = s.mode_id
),

changes as (
    select
        *,
        accuracy_b - accuracy_a as accuracy_change,
        class_accuracy_a - accuracy_a as accuracy_drop_a,
        class_accuracy_b - accuracy_b as accuracy_drop_b,
        accuracy_a - low_a as below_a,
        high_a - accuracy_a as above_a,
        accuracy_b - low_b as below_b,
        high_b - accuracy_b as above_b
    from measured
),

judged as (
    select
        *,
        -- 1e-9: as in the definition of a failure mode.
        case
            when compared = 0 then 'undecided'
            when is_mode_a = 1 and is_mode_b = 1 then 'persisting'
            when is_mode_a = 1 and accuracy_drop_b < min_drop / 2 - 1e-9 then 'fixed'
            when
                is_mode_a = 1
                and accuracy_drop_b < min_drop - 1e-9
                and accuracy_change > 0
                and q_value <= {{ max_q }}
                then 'fixed'
            when is_mode_b = 1 and accuracy_drop_a < min_drop / 2 - 1e-9 then 'new'
            when
                is_mode_b = 1
                and accuracy_drop_a < min_drop - 1e-9
                and accuracy_change < 0
                and q_value <= {{ max_q }}
                then 'new'
            else 'persisting'
        end as status
    from changes
)

select
    status,
    mode_id,
    class_name,
    tags,
    tag_count,
    images_a,
    errors_a,
    accuracy_a,
    images_b,
    errors_b,
    accuracy_b,
    accuracy_change,
    accuracy_change - sqrt(below_b * below_b + above_a * above_a) as change_low,
    accuracy_change + sqrt(above_b * above_b + below_a * below_a) as change_high,
    p_value,
    q_value,
    class_accuracy_a,
    class_accuracy_b,
    accuracy_drop_a,
    accuracy_drop_b,
    is_mode_a = 1 as is_mode_a,
    is_mode_b = 1 as is_mode_b
from judged
order by
    case status when 'new' then 1 when 'persisting' then 2 when 'fixed' then 3 else 4 end,
    greatest(
        coalesce(images_a * accuracy_drop_a, 0), coalesce(images_b * accuracy_drop_b, 0)
    ) desc,
    class_name,
    tags,
    mode_id
