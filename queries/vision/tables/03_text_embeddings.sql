-- Where do embeddings of texts go? Every statement can run again.
-- parameter table: the table's name
-- parameter dimensions: numbers in one embedding
-- returns: nothing; makes the table and its comments
create table if not exists {{ table | identifier }} (
    text varchar not null,
    model varchar not null,
    template varchar not null,
    embedding float[{{ dimensions | number }}] not null
);
comment on table {{ table | identifier }} is 'What each text means to a model, as a vector of length 1';
comment on column {{ table | identifier }}.text is 'The text, such as a tag';
comment on column {{ table | identifier }}.model is 'The model that made it';
comment on column {{ table | identifier }}.template is 'The prompt that the text was put into, at {}';
comment on column {{ table | identifier }}.embedding is 'Unit vector; the inner product with an image''s vector is their cosine similarity';
