-- Which images does a run have, and on which is the model wrong?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table outcomes and its comments
create table if not exists {{ schema }}.outcomes (
    run_id integer not null,
    class_id integer not null,
    image_no integer not null,
    image_id varchar not null,
    label varchar,
    prediction varchar,
    error integer not null
);
comment on table {{ schema }}.outcomes is 'One row for each image of a class of a run that counted';
comment on column {{ schema }}.outcomes.run_id is 'The run that counted';
comment on column {{ schema }}.outcomes.class_id is 'The class, see classes';
comment on column {{ schema }}.outcomes.image_no is 'Number of the image in its class, errors first';
comment on column {{ schema }}.outcomes.image_id is 'The image, as text';
comment on column {{ schema }}.outcomes.label is 'Its label, as text';
comment on column {{ schema }}.outcomes.prediction is 'Its prediction, as text';
comment on column {{ schema }}.outcomes.error is '1 where the model is wrong, else 0';
