-- Which listed images have not been read yet?
-- reads: listed (image_id, uri, split, label, bytes), images
-- parameter again: whether to read images again that were read before
-- returns: place (1, 2, …, in the order of the ids), image_id
select row_number() over (order by image_id) as place, image_id
from listed
{% if not again %}
where not exists (select 1 from images where images.image_id = listed.image_id)
{% endif %}
