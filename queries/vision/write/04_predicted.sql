-- What does the model take each of these images for?
-- reads: outputs (image_id, output: prediction and confidence), images
-- parameter table: where the predictions go
-- parameter model: the model
-- returns: nothing; writes one row for each image that could be used
insert into {{ table | identifier }} (image_id, label, prediction, confidence, model)
select outputs.image_id, images.label, outputs.output.prediction, outputs.output.confidence, {{ model | literal }}
from outputs
inner join images on images.image_id = outputs.image_id
where outputs.output is not null;
