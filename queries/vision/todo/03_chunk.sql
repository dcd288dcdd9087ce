-- Where are the files of the next few hundred images?
-- reads: to_do (place, image_id), listed or images and image_bytes
-- parameter listed: whether they are only listed, not read yet
-- parameter first: place of the first
-- parameter last: place of the last
-- returns: image_id, uri (or the bytes as a data URI), in the order of their places
select
    to_do.image_id,
{% if listed %}
    coalesce(listed.uri, 'data:;base64,' || base64(listed.bytes)) as uri
from to_do
inner join listed on listed.image_id = to_do.image_id
{% else %}
    coalesce(images.uri, 'data:;base64,' || base64(image_bytes.bytes)) as uri
from to_do
inner join images on images.image_id = to_do.image_id
left join image_bytes on image_bytes.image_id = to_do.image_id
{% endif %}
where to_do.place between {{ first | number }} and {{ last | number }}
order by to_do.place
