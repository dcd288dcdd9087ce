-- Where do tags go, and which images were tagged?
-- parameter table: the name of the table of tags, with its schema
-- parameter tagged_images: that of the table of images, with its schema
-- returns: nothing; makes both tables, a partition for each tagger
create table if not exists {{ table | identifier }} (
    image_id string not null comment 'The image',
    tag string not null comment 'The tag',
    score float not null comment 'How sure the tagger is, on its own scale',
    tagger string comment 'The tagger'
)
partitioned by (tagger)
comment 'One row for each image, tag and tagger';

create table if not exists {{ tagged_images | identifier }} (
    image_id string not null comment 'The image',
    tags int not null comment 'How many tags it found',
    tagger string comment 'The tagger'
)
partitioned by (tagger)
comment 'The images that a tagger saw, including those without a tag'
