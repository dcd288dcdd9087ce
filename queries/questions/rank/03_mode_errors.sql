-- Which errors could a failure mode explain?
-- reads: mode_images, families
-- parameter hide: whether near-duplicates are left out
-- returns: place, class_id, image_no; one row for each mode and misclassified image
select
    f.place as place,
    i.class_id as class_id,
    i.image_no as image_no
from mode_images as i
inner join families as f on f.mode_id = i.mode_id
where
    i.error = 1
{% if hide %}
    and not f.hidden
{% endif %}
