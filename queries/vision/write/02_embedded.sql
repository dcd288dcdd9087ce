-- What does each of these images look like to the model?
-- reads: outputs (image_id, output: the embedding)
-- parameter table: where they go
-- parameter model: the model
-- returns: nothing; writes one row for each image that could be used
insert into {{ table | identifier }} (image_id, model, embedding)
select image_id, {{ model | literal }}, output
from outputs
where output is not null;
