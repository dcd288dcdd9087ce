-- Where do predictions go?
-- parameter table: the table's name, with its schema
-- returns: nothing; makes the table, a partition for each model
create table if not exists {{ table | identifier }} (
    image_id string not null comment 'The image',
    label string comment 'Its label at the time of the prediction',
    prediction string not null comment 'The class that the model predicts',
    confidence float comment 'Probability of that class, 0 to 1, if the model gives one',
    model string comment 'The model'
)
partitioned by (model)
comment 'One row for each image and model'
