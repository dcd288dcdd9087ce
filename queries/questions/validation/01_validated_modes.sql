-- How does each failure mode do on unseen data, compared with what was found?
-- reads: failure_modes, validations
-- returns: mode_id, class_name, tags, tag_count, images, accuracy, accuracy_drop (as found),
--    unseen_images, unseen_errors, unseen_accuracy, unseen_accuracy_low, unseen_accuracy_high
--    (95 % interval), unseen_class_images, unseen_class_errors, unseen_class_accuracy,
--    unseen_accuracy_drop, verdict (holds, fails or undecided)
select
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
    m.images as images,
    m.accuracy as accuracy,
    m.accuracy_drop as accuracy_drop,
    v.images as unseen_images,
    v.errors as unseen_errors,
    v.accuracy as unseen_accuracy,
    v.accuracy_low as unseen_accuracy_low,
    v.accuracy_high as unseen_accuracy_high,
    v.class_images as unseen_class_images,
    v.class_errors as unseen_class_errors,
    v.class_accuracy as unseen_class_accuracy,
    v.accuracy_drop as unseen_accuracy_drop,
    v.verdict as verdict
from failure_modes as m
inner join validations as v on v.mode_id = m.mode_id
order by m.excess_errors desc, m.class_name, m.tags, m.mode_id
