-- On what unseen data were the failure modes of a run checked?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table validation_runs and its comments
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
comment on column {{ schema }}.validation_runs.tolerance is 'How far the drop may fall short of min_drop of the run for the mode to hold all the same';
comment on column {{ schema }}.validation_runs.images is 'Unseen images';
comment on column {{ schema }}.validation_runs.warnings is 'What was odd about the unseen data, JSON array';
