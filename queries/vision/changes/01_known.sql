-- Which images have a file that the disk can be asked about?
-- reads: images, image_files, listed
-- parameter under: what the URIs of the folder's files begin with; none for a table
-- returns: image_id, uri, sha256, file_size, modified_ns, is_listed, one row for each image that is listed or in
--    the folder
select
    images.image_id,
    images.uri,
    images.sha256,
    image_files.file_size,
    image_files.modified_ns,
    listed.image_id is not null as is_listed
from images
left join image_files on image_files.image_id = images.image_id
left join listed on listed.image_id = images.image_id and listed.uri = images.uri
where
    images.uri is not null
    and (
        listed.image_id is not null
{% for beginning in under %}
        or starts_with(images.uri, {{ beginning | literal }})
{% endfor %}
    )
order by images.image_id
