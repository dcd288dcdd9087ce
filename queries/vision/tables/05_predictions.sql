-- Where do predictions go? Every statement can run again.
-- parameter table: the table's name
-- returns: nothing; makes the table and its comments
create table if not exists {{ table | identifier }} (
    image_id varchar not null,
    label varchar,
    prediction varchar not null,
    confidence float,
    model varchar not null
);
comment on table {{ table | identifier }} is 'One row for each image and model';
comment on column {{ table | identifier }}.image_id is 'The image';
comment on column {{ table | identifier }}.label is 'Its label at the time of the prediction, see images';
comment on column {{ table | identifier }}.prediction is 'The class that the model predicts';
comment on column {{ table | identifier }}.confidence is 'Probability of that class, 0 to 1, if the model gives one';
comment on column {{ table | identifier }}.model is 'The model';
