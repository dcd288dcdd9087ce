-- Which images does each failure mode have?
-- parameter schema: the quoted schema of the results, prime
-- parameter largest: how many tag columns there are
-- returns: nothing; makes two views and their comments. Their tables have no schema before their
--    names: they are looked up beside the view, under whatever name the file is opened or attached.
create view if not exists {{ schema }}.failure_mode_members as
with carriers as (
    select
        run_id,
        class_id,
        tag_id,
        count(*) as images
    from tagged
    group by run_id, class_id, tag_id
),

mode_tags as (
    -- The rarest tag comes first: the other tags are then looked up on few images.
    select
        m.run_id as run_id,
        m.mode_id as mode_id,
        r.counted_run_id as counted_run_id,
        c.class_id as class_id,
        v.tag_id as tag_id,
        t.present as present,
        row_number() over (
            partition by m.run_id, m.mode_id, t.present order by g.images, v.tag_id
        ) as place
    from failure_modes as m
    inner join runs as r on r.run_id = m.run_id
    inner join failure_mode_tags as t on t.run_id = m.run_id and t.mode_id = m.mode_id
    inner join classes as c on c.run_id = m.run_id and c.class_name = m.class_name
    inner join vocabulary as v on v.run_id = r.counted_run_id and v.tag = t.tag
    left join carriers as g
        on g.run_id = r.counted_run_id and g.class_id = c.class_id and g.tag_id = v.tag_id
),

present_tags as (
    -- A mode of fewer tags has its first one several times.
    select
        run_id,
        mode_id,
        counted_run_id,
        class_id,
{% for i in range(2, largest + 1) %}
        coalesce(
            min(case when place = {{ i }} then tag_id end), min(case when place = 1 then tag_id end)
        ) as tag_{{ i }},
{% endfor %}
        min(case when place = 1 then tag_id end) as tag_1
    from mode_tags
    where present
    group by run_id, mode_id, counted_run_id, class_id
),

absent_only as (
    select
        run_id,
        mode_id,
        counted_run_id,
        class_id
    from mode_tags
    group by run_id, mode_id, counted_run_id, class_id
    having sum(case when present then 1 else 0 end) = 0
),

carrying as (
    select
        m.run_id as run_id,
        m.mode_id as mode_id,
        m.counted_run_id as counted_run_id,
        m.class_id as class_id,
        g1.image_no as image_no
    from present_tags as m
    inner join tagged as g1
        on g1.run_id = m.counted_run_id and g1.class_id = m.class_id and g1.tag_id = m.tag_1
    -- Not joins: an engine may begin with a join of `tagged` with itself.
{% for i in range(2, largest + 1) %}
    {{ "where" if i == 2 else "and" }} exists (
        select 1
        from tagged as g{{ i }}
        where
            g{{ i }}.run_id = m.counted_run_id
            and g{{ i }}.class_id = m.class_id
            and g{{ i }}.tag_id = m.tag_{{ i }}
            and g{{ i }}.image_no = g1.image_no
    )
{% endfor %}

    union all

    -- Every image of the class may be one of theirs.
    select
        m.run_id as run_id,
        m.mode_id as mode_id,
        m.counted_run_id as counted_run_id,
        m.class_id as class_id,
        o.image_no as image_no
    from absent_only as m
    inner join outcomes as o on o.run_id = m.counted_run_id and o.class_id = m.class_id
),

unwanted as (
    select
        i.run_id as run_id,
        i.mode_id as mode_id,
        i.image_no as image_no
    from carrying as i
    inner join mode_tags as t
        on t.run_id = i.run_id and t.mode_id = i.mode_id and not t.present
    inner join tagged as g
        on g.run_id = i.counted_run_id
        and g.class_id = i.class_id
        and g.tag_id = t.tag_id
        and g.image_no = i.image_no
    group by i.run_id, i.mode_id, i.image_no
)

select
    i.run_id as run_id,
    i.mode_id as mode_id,
    i.counted_run_id as counted_run_id,
    i.class_id as class_id,
    i.image_no as image_no
from carrying as i
left join unwanted as u
    on u.run_id = i.run_id and u.mode_id = i.mode_id and u.image_no = i.image_no
where u.mode_id is null;
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
