-- How sure is each failure mode, and how likely is it to be chance?
-- reads: failure_modes, failure_mode_chance
-- asked as: chance
-- returns: class_name, tags, images, errors, accuracy, accuracy_low and accuracy_high (Wilson
--    interval, 95 %), class_accuracy, p_value, q_value and family_wise_p (null until asked for:
--    `prime-sql chance`), mode_id; the least likely first
select
    m.class_name as class_name,
    m.tags as tags,
    m.images as images,
    m.errors as errors,
    m.accuracy as accuracy,
    c.accuracy_low as accuracy_low,
    c.accuracy_high as accuracy_high,
    m.class_accuracy as class_accuracy,
    c.p_value as p_value,
    c.q_value as q_value,
    c.family_wise_p as family_wise_p,
    m.mode_id as mode_id
from failure_modes as m
inner join failure_mode_chance as c on c.mode_id = m.mode_id
order by c.p_value, m.excess_errors desc, m.class_name, m.tags, m.mode_id
