-- Which images does each failure mode have?
-- parameter schema: the quoted schema of the results, prime
-- parameter largest: how many tag columns there are
-- returns: nothing; makes two views and their comments. Their tables have no schema before their
--    names: they are looked up beside the view, under whatever name the file is opened or attached.
{% from 'engine/schema/members.jinja' import members_of %}
create view if not exists {{ schema }}.failure_mode_members as
with {{ members_of('failure_modes', largest) }}

select
    run_id,
    mode_id,
    counted_run_id,
    class_id,
    image_no
from members;
comment on view {{ schema }}.failure_mode_members is 'The same as failure_mode_images, by the numbers of the images';
comment on column {{ schema }}.failure_mode_members.run_id is 'The run';
comment on column {{ schema }}.failure_mode_members.mode_id is 'The failure mode';
comment on column {{ schema }}.failure_mode_members.counted_run_id is 'The run that holds its images, see outcomes';
comment on column {{ schema }}.failure_mode_members.class_id is 'Its class, see classes';
comment on column {{ schema }}.failure_mode_members.image_no is 'Number of the image in its class, see outcomes';

create view if not exists {{ schema }}.failure_mode_images as
select
    i.run_id as run_id,
    i.mode_id as mode_id,
    o.image_id as image_id,
    o.label as label,
    o.prediction as prediction,
    o.error as error
from failure_mode_members as i
inner join outcomes as o
    on o.run_id = i.counted_run_id and o.class_id = i.class_id and o.image_no = i.image_no;
comment on view {{ schema }}.failure_mode_images is 'One row for each failure mode and image that carries all its tags';
comment on column {{ schema }}.failure_mode_images.run_id is 'The run';
comment on column {{ schema }}.failure_mode_images.mode_id is 'The failure mode';
comment on column {{ schema }}.failure_mode_images.image_id is 'The image, as text';
comment on column {{ schema }}.failure_mode_images.label is 'Its label, as text';
comment on column {{ schema }}.failure_mode_images.prediction is 'Its prediction, as text';
comment on column {{ schema }}.failure_mode_images.error is '1 where the model is wrong, else 0';
