-- Which images carry which tag that is too rare to count?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the table rare_tags and its comments
create table if not exists {{ schema }}.rare_tags (
    run_id integer not null,
    class_id integer not null,
    image_no integer not null,
    tag varchar not null
);
comment on table {{ schema }}.rare_tags is 'Which images carry which tag, for the tags that are too rare to count in a class: more images may make them frequent';
comment on column {{ schema }}.rare_tags.run_id is 'The run that counted';
comment on column {{ schema }}.rare_tags.class_id is 'The class, see classes';
comment on column {{ schema }}.rare_tags.image_no is 'The image, see outcomes';
comment on column {{ schema }}.rare_tags.tag is 'The tag';
