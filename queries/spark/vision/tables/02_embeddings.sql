-- Where do embeddings of images go?
-- parameter table: the table's name, with its schema
-- returns: nothing; makes the table, a partition for each model
create table if not exists {{ table | identifier }} (
    image_id string not null comment 'The image',
    embedding array<float> not null comment 'Unit vector; the inner product of two is their cosine similarity',
    model string comment 'The model that made it'
)
partitioned by (model)
comment 'What each image looks like to a model, as a vector of length 1'
