-- How sure is each failure mode?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table failure_mode_chance and its comments
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
comment on column {{ schema }}.failure_mode_chance.p_value is 'Probability of at least this many errors if those of the class were dealt out at random (hypergeometric)';
comment on column {{ schema }}.failure_mode_chance.q_value is 'p_value adjusted for all eligible tag sets (Benjamini-Hochberg); null until asked for';
comment on column {{ schema }}.failure_mode_chance.family_wise_p is 'Share of the shuffles in which chance gave a failure mode as unlikely as this one; null until asked for';
