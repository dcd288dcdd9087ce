-- Which listed images have not been read yet, or have changed since?
-- reads: listed (image_id, uri, split, label, bytes), images, changed_files (image_id)
-- parameter again: whether to read images again that were read before
-- returns: place (1, 2, …, in the order of the ids), image_id
select row_number() over (order by image_id) as place, image_id
from listed
{% if not again %}
where
    not exists (select 1 from images where images.image_id = listed.image_id)
    or image_id in (select image_id from changed_files)
{% endif %}
