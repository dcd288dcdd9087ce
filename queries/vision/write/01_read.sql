-- What do the files of these images hold?
-- reads: outputs (image_id, output: width, height, sha256, file_size, modified_ns), listed
-- parameter computed: what was computed from the images: (table, column that names the model, model)
-- returns: nothing; writes images, image_files and image_bytes, and forgets what was computed from an image
--    that changed; counts these images, and the rows, in forgotten
create or replace temp table changed as
select images.image_id
from images
inner join outputs on outputs.image_id = images.image_id
inner join listed on listed.image_id = images.image_id
where
    outputs.output is null
    or images.sha256 <> outputs.output.sha256
    or images.label is distinct from listed.label;

insert into forgotten
select 'images', count(*) from changed;

{% for table, model_column, model in computed %}
insert into forgotten
select {{ table | literal }}, count(*)
from {{ table | identifier }}
where {{ model_column | identifier }} = {{ model | literal }} and image_id in (select image_id from changed);

delete from {{ table | identifier }}
where {{ model_column | identifier }} = {{ model | literal }} and image_id in (select image_id from changed);
{% endfor %}

delete from images where image_id in (select image_id from outputs);
delete from image_files where image_id in (select image_id from outputs);
delete from image_bytes where image_id in (select image_id from outputs);

insert into images (image_id, uri, width, height, split, label, sha256)
select
    outputs.image_id,
    listed.uri,
    outputs.output.width,
    outputs.output.height,
    listed.split,
    listed.label,
    outputs.output.sha256
from outputs
inner join listed on listed.image_id = outputs.image_id
where outputs.output is not null;

insert into image_files (image_id, file_size, modified_ns)
select image_id, output.file_size, output.modified_ns
from outputs
where output is not null;

insert into image_bytes (image_id, bytes)
select outputs.image_id, listed.bytes
from outputs
inner join listed on listed.image_id = outputs.image_id
where outputs.output is not null and listed.uri is null;
