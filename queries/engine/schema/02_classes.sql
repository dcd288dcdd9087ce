-- Which classes does a run have?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table classes and its comments
create table if not exists {{ schema }}.classes (
    run_id integer not null,
    class_id integer not null,
    class_name varchar not null,
    images bigint not null,
    errors bigint not null,
    accuracy double not null
);
comment on table {{ schema }}.classes is 'One row for each class of a run';
comment on column {{ schema }}.classes.run_id is 'The run';
comment on column {{ schema }}.classes.class_id is 'Number of the class in the run';
comment on column {{ schema }}.classes.class_name is 'The class: a label, or whatever the run was grouped by';
comment on column {{ schema }}.classes.images is 'Images of the class';
comment on column {{ schema }}.classes.errors is 'Misclassified images of the class';
comment on column {{ schema }}.classes.accuracy is '1 - errors / images';
