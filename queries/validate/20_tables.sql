-- Where do the checks on unseen data live? Every statement may run again.
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the tables and their comments
create table if not exists {{ schema }}.validation_runs (
    run_id integer not null,
    created_at timestamp not null,
    sources varchar not null,
    condition varchar,
    min_unseen_images integer not null,
    tolerance double not null,
    images bigint not null,
    warnings varchar not null
);
comment on table {{ schema }}.validation_runs is 'One row for each run whose failure modes were checked on unseen data';
comment on column {{ schema }}.validation_runs.run_id is 'The run';
comment on column {{ schema }}.validation_runs.created_at is 'When they were checked, UTC';
comment on column {{ schema }}.validation_runs.sources is 'Where the unseen predictions and tags came from, JSON object, without credentials';
comment on column {{ schema }}.validation_runs.condition is 'SQL condition on the unseen predictions, or null';
comment on column {{ schema }}.validation_runs.min_unseen_images is 'A failure mode on fewer unseen images is undecided';
comment on column {{ schema }}.validation_runs.tolerance is 'By how much the drop may fall short of min_drop of the run and still hold';
comment on column {{ schema }}.validation_runs.images is 'Unseen images';
comment on column {{ schema }}.validation_runs.warnings is 'What was odd about the unseen data, JSON array';

create table if not exists {{ schema }}.validations (
    run_id integer not null,
    mode_id varchar not null,
    images bigint not null,
    errors bigint not null,
    accuracy double,
    accuracy_low double,
    accuracy_high double,
    class_images bigint not null,
    class_errors bigint not null,
    class_accuracy double,
    accuracy_drop double,
    verdict varchar not null
);
comment on table {{ schema }}.validations is 'One row for each failure mode of a run that was checked on unseen data';
comment on column {{ schema }}.validations.run_id is 'The run';
comment on column {{ schema }}.validations.mode_id is 'The failure mode';
comment on column {{ schema }}.validations.images is 'Unseen images of its class that fit its tags';
comment on column {{ schema }}.validations.errors is 'Misclassified ones among them';
comment on column {{ schema }}.validations.accuracy is '1 - errors / images; null where there is no image';
comment on column {{ schema }}.validations.accuracy_low is 'Lower end of the 95 % interval (Wilson) of the accuracy';
comment on column {{ schema }}.validations.accuracy_high is 'Upper end of the 95 % interval (Wilson) of the accuracy';
comment on column {{ schema }}.validations.class_images is 'Unseen images of the class';
comment on column {{ schema }}.validations.class_errors is 'Misclassified ones among them';
comment on column {{ schema }}.validations.class_accuracy is 'Accuracy on the unseen images of the class; null where there is none';
comment on column {{ schema }}.validations.accuracy_drop is 'class_accuracy - accuracy on unseen images';
comment on column {{ schema }}.validations.verdict is 'holds: the drop reaches min_drop - tolerance; fails: it does not; undecided: fewer than min_unseen_images images';
