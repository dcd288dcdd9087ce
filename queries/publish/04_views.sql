-- Which images does each failure mode have?
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; makes the view and its comments. Its tables have no schema before their names:
--    they are looked up beside the view, under whatever name the file is opened or attached.
create view if not exists {{ schema }}.failure_mode_images as
with mode_tags as (
    select
        m.run_id as run_id,
        m.mode_id as mode_id,
        m.tag_count as tag_count,
        r.counted_run_id as counted_run_id,
        c.class_id as class_id,
        v.tag_id as tag_id
    from failure_modes as m
    inner join runs as r on r.run_id = m.run_id
    inner join failure_mode_tags as t on t.run_id = m.run_id and t.mode_id = m.mode_id
    inner join classes as c on c.run_id = m.run_id and c.class_name = m.class_name
    inner join vocabulary as v on v.run_id = r.counted_run_id and v.tag = t.tag
),

mode_images as (
    select
        m.run_id as run_id,
        m.mode_id as mode_id,
        m.counted_run_id as counted_run_id,
        m.class_id as class_id,
        g.image_no as image_no
    from mode_tags as m
    inner join tagged as g
        on g.run_id = m.counted_run_id and g.class_id = m.class_id and g.tag_id = m.tag_id
    group by m.run_id, m.mode_id, m.counted_run_id, m.class_id, g.image_no, m.tag_count
    having count(*) = m.tag_count
)

select
    i.run_id as run_id,
    i.mode_id as mode_id,
    o.image_id as image_id,
    o.label as label,
    o.prediction as prediction,
    o.error as error
from mode_images as i
inner join outcomes as o
    on o.run_id = i.counted_run_id and o.class_id = i.class_id and o.image_no = i.image_no;
comment on view {{ schema }}.failure_mode_images is 'One row for each failure mode and image that carries all its tags';
comment on column {{ schema }}.failure_mode_images.run_id is 'The run';
comment on column {{ schema }}.failure_mode_images.mode_id is 'The failure mode';
comment on column {{ schema }}.failure_mode_images.image_id is 'The image, as text';
comment on column {{ schema }}.failure_mode_images.label is 'Its label, as text';
comment on column {{ schema }}.failure_mode_images.prediction is 'Its prediction, as text';
comment on column {{ schema }}.failure_mode_images.error is '1 where the model is wrong, else 0';
