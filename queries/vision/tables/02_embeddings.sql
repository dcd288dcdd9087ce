-- Where do embeddings of images go? Every statement can run again.
-- parameter table: the table's name
-- parameter dimensions: numbers in one embedding
-- returns: nothing; makes the table and its comments
create table if not exists {{ table | identifier }} (
    image_id varchar not null,
    model varchar not null,
    embedding float[{{ dimensions | number }}] not null
);
comment on table {{ table | identifier }} is 'What each image looks like to a model, as a vector of length 1';
comment on column {{ table | identifier }}.image_id is 'The image';
comment on column {{ table | identifier }}.model is 'The model that made it';
comment on column {{ table | identifier }}.embedding is 'Unit vector; the inner product of two is their cosine similarity';
