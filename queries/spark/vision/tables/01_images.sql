-- Where does a step note the images that it could not use?
-- parameter problems: the table's name, with its schema
-- returns: nothing; makes the table, a partition for each step and model
create table if not exists {{ problems | identifier }} (
    image_id string not null comment 'The image',
    uri string comment 'Where its file is; null if it came from a column of bytes',
    reason string not null comment 'What is wrong with it',
    step string comment 'embed, tag or predict',
    model string comment 'The model or tagger of the step'
)
partitioned by (step, model)
comment 'Images that a step could not use, and why; each run of the step tries them again'
