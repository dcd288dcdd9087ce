-- Does each failure mode hold on unseen data?
-- reads: wanted_tags, unseen_counts, unseen_classes
-- parameter min_unseen_images: with fewer images a mode is undecided
-- parameter least_drop: with a smaller accuracy drop it fails
-- returns: mode_id, images, errors, accuracy, accuracy_low, accuracy_high, class_images,
--    class_errors, class_accuracy, accuracy_drop, verdict (holds, fails or undecided)
{% from 'definitions.jinja' import wilson %}
with modes as (
    select mode_id, class_name
    from wanted_tags
    group by mode_id, class_name
),

counted as (
    select
        m.mode_id as mode_id,
        coalesce(u.images, 0) as images,
        coalesce(u.errors, 0) as errors,
        coalesce(c.images, 0) as class_images,
        coalesce(c.errors, 0) as class_errors
    from modes as m
    left join unseen_counts as u on u.mode_id = m.mode_id
    left join unseen_classes as c on c.class_name = m.class_name
),

accuracies as (
    select
        mode_id,
        images,
        errors,
        class_images,
        class_errors,
        cast(images - errors as double) / nullif(images, 0) as accuracy,
        cast(class_images - class_errors as double) / nullif(class_images, 0) as class_accuracy
    from counted
)

select
    mode_id,
    images,
    errors,
    accuracy,
    -- Where all or none are errors, the end is exactly 0 or 1; rounding would miss it.
    case
        when images = 0 then null
        when errors = images then 0.0
        else {{ wilson('errors', 'nullif(images, 0)', '-') }}
    end as accuracy_low,
    case
        when images = 0 then null
        when errors = 0 then 1.0
        else {{ wilson('errors', 'nullif(images, 0)', '+') }}
    end as accuracy_high,
    class_images,
    class_errors,
    class_accuracy,
    class_accuracy - accuracy as accuracy_drop,
    -- Too few images first: they neither confirm nor refute.
    case
        when images < {{ min_unseen_images }} then 'undecided'
        -- 1e-9: comparisons are inclusive, however an engine rounds.
        when class_accuracy - accuracy >= {{ least_drop }} - 1e-9 then 'holds'
        else 'fails'
    end as verdict
from accuracies
