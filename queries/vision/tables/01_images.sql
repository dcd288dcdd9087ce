-- Which images are there? Every statement can run again.
-- reads: nothing
-- returns: nothing; makes images, image_files, image_bytes and image_problems, with their comments
create table if not exists images (
    image_id varchar not null,
    uri varchar,
    width integer not null,
    height integer not null,
    split varchar,
    label varchar,
    sha256 varchar not null
);
comment on table images is 'One row for each image that can be read';
comment on column images.image_id is 'The image: its path in the folder, or what the manifest calls it';
comment on column images.uri is 'Where its file is; null if it is in image_bytes';
comment on column images.width is 'Width in pixels, upright';
comment on column images.height is 'Height in pixels, upright';
comment on column images.split is 'train, test, …, if the folders or the manifest say so';
comment on column images.label is 'Its class, if the folders or the manifest say so';
comment on column images.sha256 is 'SHA-256 of its file, 64 hexadecimal digits';

-- A table of its own: databases of earlier versions have images without it.
create table if not exists image_files (
    image_id varchar not null,
    file_size bigint not null,
    modified_ns bigint
);
comment on table image_files is 'The files of images when they were read; a file of other size or time may have changed';
comment on column image_files.image_id is 'The image';
comment on column image_files.file_size is 'Size in bytes';
comment on column image_files.modified_ns is 'When it was modified, nanoseconds since 1970; null if unknown, or too recent to tell a change';

create table if not exists image_bytes (
    image_id varchar not null,
    bytes blob not null
);
comment on table image_bytes is 'The files of the images that were loaded from a column of bytes';
comment on column image_bytes.image_id is 'The image';
comment on column image_bytes.bytes is 'Its file';

create table if not exists image_problems (
    image_id varchar not null,
    uri varchar,
    step varchar not null,
    model varchar not null,
    reason varchar not null
);
comment on table image_problems is 'Images that a step could not use, and why; each run of the step tries them again';
comment on column image_problems.image_id is 'The image';
comment on column image_problems.uri is 'Where its file is; null if it came from a column of bytes';
comment on column image_problems.step is 'images, embed, tag or predict';
comment on column image_problems.model is 'The model or tagger of the step; empty for images';
comment on column image_problems.reason is 'What is wrong with it';
