-- On which minimal tag sets does accuracy drop sharply?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table failure_modes and its comments
create table if not exists {{ schema }}.failure_modes (
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
    accuracy_drop double not null,
    excess_errors double not null,
    error_coverage double not null
);
comment on table {{ schema }}.failure_modes is 'One row for each failure mode of a run: a minimal tag set on which accuracy drops sharply';
comment on column {{ schema }}.failure_modes.run_id is 'The run';
comment on column {{ schema }}.failure_modes.mode_id is 'Hash of grouping, class and sorted tags: the same mode keeps it from run to run';
comment on column {{ schema }}.failure_modes.class_name is 'The class';
comment on column {{ schema }}.failure_modes.tags is 'The tags, sorted, joined with " + "';
comment on column {{ schema }}.failure_modes.tag_count is 'Number of tags';
comment on column {{ schema }}.failure_modes.images is 'Images of the class that carry all tags';
comment on column {{ schema }}.failure_modes.errors is 'Misclassified ones among them';
comment on column {{ schema }}.failure_modes.accuracy is '1 - errors / images';
comment on column {{ schema }}.failure_modes.class_images is 'Images of the class';
comment on column {{ schema }}.failure_modes.class_errors is 'Misclassified images of the class';
comment on column {{ schema }}.failure_modes.class_accuracy is 'Accuracy on the class';
comment on column {{ schema }}.failure_modes.accuracy_drop is 'class_accuracy - accuracy';
comment on column {{ schema }}.failure_modes.excess_errors is 'errors - images x error rate of the class';
comment on column {{ schema }}.failure_modes.error_coverage is 'Share of the errors of the class';
