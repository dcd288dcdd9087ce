-- Which tags does each failure mode have, and how necessary is each?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table failure_mode_tags and its comments
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
comment on column {{ schema }}.failure_mode_tags.present is 'Whether images carry it; false if the mode says "not TAG"';
comment on column {{ schema }}.failure_mode_tags.accuracy_without is 'Accuracy on the set without this tag; on the class if it is the only one';
comment on column {{ schema }}.failure_mode_tags.necessity_margin is 'accuracy_without - accuracy of the mode';
