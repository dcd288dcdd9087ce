-- Which tags does a run have?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table vocabulary and its comments
create table if not exists {{ schema }}.vocabulary (
    run_id integer not null,
    tag_id integer not null,
    tag varchar not null
);
comment on table {{ schema }}.vocabulary is 'The tags of a run that counted: those that are frequent in some class';
comment on column {{ schema }}.vocabulary.run_id is 'The run that counted';
comment on column {{ schema }}.vocabulary.tag_id is 'Number of the tag, in the order of the tags';
comment on column {{ schema }}.vocabulary.tag is 'The tag';
