-- Which images does a failure mode have? Errors first.
-- reads: failure_modes, failure_mode_images
-- asked as: images_of_mode
-- parameter mode_id: the mode, or the first characters of its mode_id
-- returns: image_id, label, prediction, error (1 wrong, 0 right), class_name, tags, mode_id
select
    i.image_id as image_id,
    i.label as label,
    i.prediction as prediction,
    i.error as error,
    m.class_name as class_name,
    m.tags as tags,
    m.mode_id as mode_id
from failure_modes as m
inner join failure_mode_images as i on i.mode_id = m.mode_id
where substring(i.mode_id, 1, length({{ mode_id | literal }})) = {{ mode_id | literal }}
order by m.mode_id, i.error desc, i.image_id
