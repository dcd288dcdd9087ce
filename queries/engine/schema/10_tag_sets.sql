-- Which tag sets were counted?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table tag_sets and its comments
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
comment on column {{ schema }}.tag_sets.necessity_margin is 'Smallest rise in accuracy when one tag is left out';
