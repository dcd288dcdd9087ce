-- Which images has the model not done yet?
-- reads: images
-- parameter table: where its results go, or for a tagger, where it notes the images that it saw
-- parameter model_column: the column there that names the model
-- parameter model: the model
-- returns: place (1, 2, …, in the order of the ids), image_id
select row_number() over (order by image_id) as place, image_id
from images
where not exists (
    select 1
    from {{ table | identifier }} as done
    where done.image_id = images.image_id and done.{{ model_column | identifier }} = {{ model | literal }}
)
