-- Which images carry which frequent tag?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table tagged and its comments
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
