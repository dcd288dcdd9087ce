-- What does each of these images look like to the model?
-- reads: prime_sql_outputs (image_id, output: the embedding)
-- parameter table: where they go
-- parameter model: the model
-- parameter replace: whether they replace everything that the model has done
-- returns: nothing; writes one row for each image that could be used
insert {{ "overwrite" if replace else "into" }} {{ table | identifier }} partition (model = {{ model | literal }})
(image_id, embedding)
select image_id, output
from prime_sql_outputs
where output is not null
