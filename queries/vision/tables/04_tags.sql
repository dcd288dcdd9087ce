-- Where do tags go? Every statement can run again.
-- parameter table: the table's name
-- returns: nothing; makes the table, the list of the images that were tagged, and their comments
create table if not exists {{ table | identifier }} (
    image_id varchar not null,
    tag varchar not null,
    score float not null,
    tagger varchar not null
);
comment on table {{ table | identifier }} is 'One row for each image, tag and tagger';
comment on column {{ table | identifier }}.image_id is 'The image';
comment on column {{ table | identifier }}.tag is 'The tag';
comment on column {{ table | identifier }}.score is 'How sure the tagger is, on its own scale; 1 if it gives no score';
comment on column {{ table | identifier }}.tagger is 'The tagger';

create table if not exists tagged_images (
    image_id varchar not null,
    tagger varchar not null,
    tags integer not null
);
comment on table tagged_images is 'The images that a tagger saw, including those without a tag';
comment on column tagged_images.image_id is 'The image';
comment on column tagged_images.tagger is 'The tagger';
comment on column tagged_images.tags is 'How many tags it found';
