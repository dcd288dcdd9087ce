-- What does a dry run read instead of a table that the database does not have yet?
-- parameter table: images, image_files or model_settings
-- returns: nothing; makes the table, empty, in the session
{% if table == "images" %}
create or replace temp table images (
    image_id varchar, uri varchar, width integer, height integer, split varchar, label varchar, sha256 varchar
);
{% elif table == "image_files" %}
create or replace temp table image_files (image_id varchar, file_size bigint, modified_ns bigint);
{% else %}
create or replace temp table model_settings (step varchar, table_name varchar, model varchar, settings varchar);
{% endif %}
