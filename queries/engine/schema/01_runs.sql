-- Which runs are there? Every statement can run again.
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the schema, the table runs and its comments
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
comment on column {{ schema }}.runs.counted_run_id is 'The run that counted: itself, or the one whose stored counts it reused';
comment on column {{ schema }}.runs.created_at is 'When the run was published, UTC';
comment on column {{ schema }}.runs.status is 'complete, or unpublished if the job that made it did not finish: its outputs were not published, and no run is compared with it';
comment on column {{ schema }}.runs.version is 'Version of prime_sql';
comment on column {{ schema }}.runs.options is 'All options of the search, JSON object';
comment on column {{ schema }}.runs.sources is 'Where predictions and tags came from, JSON object, without credentials';
comment on column {{ schema }}.runs.warnings is 'What was odd about the input, JSON array';
comment on column {{ schema }}.runs.note is 'Why there are no failure modes, if there are none';
comment on column {{ schema }}.runs.row_counts is 'Rows by table, JSON object';
comment on column {{ schema }}.runs.seconds is 'Seconds by step, JSON object';
comment on column {{ schema }}.runs.job is 'Name of the job that made the run, or null';
