-- Which images do these modes have?
-- reads: detailed, mode_images, outcomes
-- returns: card, class_id, image_no, image_id, label, prediction, error
select
    d.card as card,
    i.class_id as class_id,
    i.image_no as image_no,
    o.image_id as image_id,
    o.label as label,
    o.prediction as prediction,
    o.error as error
from detailed as d
inner join mode_images as i on i.mode_id = d.mode_id
inner join outcomes as o on o.class_id = i.class_id and o.image_no = i.image_no
