-- On which minimal tag sets does accuracy rise sharply?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table success_modes and its comments
create table if not exists {{ schema }}.success_modes (
    run_id integer not null,
    mode_id varchar not null,
    class_name varchar not null,
    tags varchar not null,
    tag_count integer not null,
    images bigint not null,
    errors bigint not null,
    accuracy double not null,
    class_images bigint not null,
    class_errors bigint not null,
    class_accuracy double not null,
    accuracy_gain double not null
);
comment on table {{ schema }}.success_modes is 'One row for each success mode of a run: a minimal tag set on which accuracy rises sharply; empty until asked for';
comment on column {{ schema }}.success_modes.run_id is 'The run';
comment on column {{ schema }}.success_modes.mode_id is 'Hash of grouping, class and sorted tags';
comment on column {{ schema }}.success_modes.class_name is 'The class';
comment on column {{ schema }}.success_modes.tags is 'The tags, sorted, joined with " + "';
comment on column {{ schema }}.success_modes.tag_count is 'Number of tags';
comment on column {{ schema }}.success_modes.images is 'Images of the class that carry all tags';
comment on column {{ schema }}.success_modes.errors is 'Misclassified ones among them';
comment on column {{ schema }}.success_modes.accuracy is '1 - errors / images';
comment on column {{ schema }}.success_modes.class_images is 'Images of the class';
comment on column {{ schema }}.success_modes.class_errors is 'Misclassified images of the class';
comment on column {{ schema }}.success_modes.class_accuracy is 'Accuracy on the class';
comment on column {{ schema }}.success_modes.accuracy_gain is 'accuracy - class_accuracy';
