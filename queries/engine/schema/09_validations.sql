-- Does each failure mode hold on unseen data?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table validations and its comments
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
comment on column {{ schema }}.validations.accuracy is '1 - errors / images; null if there are no images';
comment on column {{ schema }}.validations.accuracy_low is 'Lower end of the 95 % interval (Wilson) of the accuracy';
comment on column {{ schema }}.validations.accuracy_high is 'Upper end of the 95 % interval (Wilson) of the accuracy';
comment on column {{ schema }}.validations.class_images is 'Unseen images of the class';
comment on column {{ schema }}.validations.class_errors is 'Misclassified ones among them';
comment on column {{ schema }}.validations.class_accuracy is 'Accuracy on the unseen images of the class; null if there are none';
comment on column {{ schema }}.validations.accuracy_drop is 'class_accuracy - accuracy on unseen images';
comment on column {{ schema }}.validations.verdict is 'holds: the drop reaches min_drop - tolerance; fails: it does not; undecided: fewer than min_unseen_images images';
