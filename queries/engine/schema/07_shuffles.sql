-- What did chance alone give, in searches on shuffled errors?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table shuffles and its comments
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
comment on column {{ schema }}.shuffles.seed is 'Seed of the shuffle';
comment on column {{ schema }}.shuffles.failure_modes is 'How many failure modes chance gave';
comment on column {{ schema }}.shuffles.smallest_p is 'The smallest p-value among them, or null';
