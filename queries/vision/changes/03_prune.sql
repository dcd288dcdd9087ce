-- What is left of the images whose files are gone?
-- reads: gone (image_id)
-- parameter results: the tables with results of models
-- returns: nothing; drops the images, what is known of their files, and all results; counts the results in
--    forgotten
{% for table in results %}
insert into forgotten
select {{ table | literal }}, count(*) from {{ table | identifier }} where image_id in (select image_id from gone);

delete from {{ table | identifier }} where image_id in (select image_id from gone);
{% endfor %}

delete from images where image_id in (select image_id from gone);

delete from image_files where image_id in (select image_id from gone);

delete from image_problems where image_id in (select image_id from gone);
