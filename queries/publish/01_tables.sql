-- Where do the results of all runs live? Every statement may run again.
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the tables and their comments
create schema if not exists {{ schema }};

create table if not exists {{ schema }}.runs (
    run_id integer primary key,
    counted_run_id integer not null,
    created_at timestamp not null,
    status varchar not null,
    version varchar not null,
    options varchar not null,
    sources varchar not null,
    warnings varchar not null,
    note varchar,
    row_counts varchar not null,
    seconds varchar not null,
    job varchar
);
comment on table {{ schema }}.runs is 'One row for each complete search';
comment on column {{ schema }}.runs.run_id is 'Number of the run in this database, from 1';
comment on column {{ schema }}.runs.counted_run_id is 'The run that counted: itself, or the one whose stored counts it asked again';
comment on column {{ schema }}.runs.created_at is 'When the run was published, UTC';
comment on column {{ schema }}.runs.status is 'complete, or unpublished where the job that made it did not finish: its outputs were not published, and no run is compared with it';
comment on column {{ schema }}.runs.version is 'Version of prime_sql';
comment on column {{ schema }}.runs.options is 'All options of the search, JSON object';
comment on column {{ schema }}.runs.sources is 'Where predictions and tags came from, JSON object, without credentials';
comment on column {{ schema }}.runs.warnings is 'What was odd about the input, JSON array';
comment on column {{ schema }}.runs.note is 'Why there are no failure modes, where there are none';
comment on column {{ schema }}.runs.row_counts is 'Rows by table, JSON object';
comment on column {{ schema }}.runs.seconds is 'Seconds by step, JSON object';
comment on column {{ schema }}.runs.job is 'Name of the job that made the run, or null';

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

create table if not exists {{ schema }}.tag_sets (
    run_id integer not null,
    class_name varchar not null,
    tags varchar not null,
    tag_count integer not null,
    tag_1 varchar not null,
    tag_2 varchar,
    tag_3 varchar,
    tag_4 varchar,
    tag_5 varchar,
    tag_6 varchar,
    images bigint not null,
    errors bigint not null,
    accuracy double not null,
    necessity_margin double not null
);
comment on table {{ schema }}.tag_sets is 'Every counted tag set of a run: all that have enough errors to be, or to lead to, a failure mode';
comment on column {{ schema }}.tag_sets.run_id is 'The run';
comment on column {{ schema }}.tag_sets.class_name is 'The class';
comment on column {{ schema }}.tag_sets.tags is 'The tags, sorted, joined with " + "';
comment on column {{ schema }}.tag_sets.tag_count is 'Number of tags';
comment on column {{ schema }}.tag_sets.tag_1 is 'First tag';
comment on column {{ schema }}.tag_sets.tag_2 is 'Second tag, or null';
comment on column {{ schema }}.tag_sets.tag_3 is 'Third tag, or null';
comment on column {{ schema }}.tag_sets.tag_4 is 'Fourth tag, or null';
comment on column {{ schema }}.tag_sets.tag_5 is 'Fifth tag, or null';
comment on column {{ schema }}.tag_sets.tag_6 is 'Sixth tag, or null';
comment on column {{ schema }}.tag_sets.images is 'Images of the class that carry all tags';
comment on column {{ schema }}.tag_sets.errors is 'Misclassified ones among them';
comment on column {{ schema }}.tag_sets.accuracy is '1 - errors / images';
comment on column {{ schema }}.tag_sets.necessity_margin is 'By how much accuracy rises at least when one tag is left out';

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

create table if not exists {{ schema }}.failure_mode_tags (
    run_id integer not null,
    mode_id varchar not null,
    tag varchar not null,
    present boolean not null,
    accuracy_without double not null,
    necessity_margin double not null
);
comment on table {{ schema }}.failure_mode_tags is 'One row for each failure mode and tag';
comment on column {{ schema }}.failure_mode_tags.run_id is 'The run';
comment on column {{ schema }}.failure_mode_tags.mode_id is 'The failure mode';
comment on column {{ schema }}.failure_mode_tags.tag is 'One of its tags';
comment on column {{ schema }}.failure_mode_tags.present is 'Whether images carry it; false where the mode says "not TAG"';
comment on column {{ schema }}.failure_mode_tags.accuracy_without is 'Accuracy on the set without this tag; of the class where it is the only one';
comment on column {{ schema }}.failure_mode_tags.necessity_margin is 'accuracy_without - accuracy of the mode';

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

create table if not exists {{ schema }}.vocabulary (
    run_id integer not null,
    tag_id integer not null,
    tag varchar not null
);
comment on table {{ schema }}.vocabulary is 'The tags of a run that counted, those that are frequent in some class';
comment on column {{ schema }}.vocabulary.run_id is 'The run that counted';
comment on column {{ schema }}.vocabulary.tag_id is 'Number of the tag, in the order of the tags';
comment on column {{ schema }}.vocabulary.tag is 'The tag';

create table if not exists {{ schema }}.tagged (
    run_id integer not null,
    class_id integer not null,
    tag_id integer not null,
    image_no integer not null
);
comment on table {{ schema }}.tagged is 'Which images carry which tag, for the frequent tags of each class';
comment on column {{ schema }}.tagged.run_id is 'The run that counted';
comment on column {{ schema }}.tagged.class_id is 'The class, see classes';
comment on column {{ schema }}.tagged.tag_id is 'The tag, see vocabulary';
comment on column {{ schema }}.tagged.image_no is 'The image, see outcomes';

{% include 'publish/rare_tags.jinja' %}

create table if not exists {{ schema }}.failure_mode_chance (
    run_id integer not null,
    mode_id varchar not null,
    accuracy_low double not null,
    accuracy_high double not null,
    p_value double not null,
    q_value double,
    family_wise_p double
);
comment on table {{ schema }}.failure_mode_chance is 'One row for each failure mode: how sure it is';
comment on column {{ schema }}.failure_mode_chance.run_id is 'The run';
comment on column {{ schema }}.failure_mode_chance.mode_id is 'The failure mode';
comment on column {{ schema }}.failure_mode_chance.accuracy_low is 'Lower end of the Wilson interval of its accuracy, 95 %';
comment on column {{ schema }}.failure_mode_chance.accuracy_high is 'Upper end of the Wilson interval of its accuracy, 95 %';
comment on column {{ schema }}.failure_mode_chance.p_value is 'Probability of so many errors or more, were those of the class dealt out at random (hypergeometric)';
comment on column {{ schema }}.failure_mode_chance.q_value is 'p_value adjusted for all eligible tag sets (Benjamini-Hochberg); null until asked for';
comment on column {{ schema }}.failure_mode_chance.family_wise_p is 'Share of the shuffles in which chance gave a failure mode as unlikely as this one; null until asked for';

create table if not exists {{ schema }}.shuffles (
    run_id integer not null,
    shuffle integer not null,
    seed bigint not null,
    failure_modes bigint not null,
    smallest_p double
);
comment on table {{ schema }}.shuffles is 'One row for each search on shuffled errors: what chance alone gives';
comment on column {{ schema }}.shuffles.run_id is 'The run whose errors were shuffled within their classes';
comment on column {{ schema }}.shuffles.shuffle is 'Number of the shuffle, from 1';
comment on column {{ schema }}.shuffles.seed is 'What it was shuffled by';
comment on column {{ schema }}.shuffles.failure_modes is 'How many failure modes chance gave';
comment on column {{ schema }}.shuffles.smallest_p is 'The smallest p-value among them, or null';

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
