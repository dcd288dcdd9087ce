-- What does the model take each of these images for?
-- reads: prime_sql_outputs (image_id, label, output: prediction and confidence)
-- parameter table: where the predictions go
-- parameter model: the model
-- parameter replace: whether they replace everything that the model has done
-- returns: nothing; writes one row for each image that could be used
insert {{ "overwrite" if replace else "into" }} {{ table | identifier }} partition (model = {{ model | literal }})
(image_id, label, prediction, confidence)
select image_id, label, output.prediction, output.confidence
from prime_sql_outputs
where output is not null
