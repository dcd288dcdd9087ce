-- Which images came, went or changed in the classes whose stored counts are kept?
-- reads: stored_images, outcomes, classes, new_predictions, removed_images, retagged, open_classes
-- returns: change_no, class_id, sign (-1: the image as it was; 1: as it is), error, image_no (as it is),
--    stored_class and stored_no (as it was)
with touched as (
    select image_id from new_predictions
    union
    select image_id from removed_images
    union
    select image_id from retagged
),

before as (
    select
        c.class_id as class_id,
        s.image_id as image_id,
        s.error as error,
        s.stored_class as stored_class,
        s.stored_no as stored_no
    from stored_images as s
    inner join touched as t on t.image_id = s.image_id
    inner join classes as c on c.class_name = s.class_name
),

after as (
    select
        o.class_id as class_id,
        o.image_id as image_id,
        o.error as error,
        o.image_no as image_no
    from outcomes as o
    inner join touched as t on t.image_id = o.image_id
),

changed as (
    select
        coalesce(a.class_id, b.class_id) as class_id,
        b.error as error_before,
        a.error as error_after,
        a.image_no as image_no,
        b.stored_class as stored_class,
        b.stored_no as stored_no
    from before as b
    full outer join after as a on a.class_id = b.class_id and a.image_id = b.image_id
    left join retagged as r on r.image_id = coalesce(a.image_id, b.image_id)
    where b.error is null or a.error is null or a.error <> b.error or r.image_id is not null
),

signed as (
    select class_id, -1 as sign, error_before as error, image_no, stored_class, stored_no
    from changed
    where error_before is not null

    union all

    select class_id, 1 as sign, error_after as error, image_no, stored_class, stored_no
    from changed
    where error_after is not null
)

select
    row_number() over (order by s.class_id, s.sign, s.image_no, s.stored_class, s.stored_no)
        as change_no,
    s.class_id as class_id,
    s.sign as sign,
    s.error as error,
    s.image_no as image_no,
    s.stored_class as stored_class,
    s.stored_no as stored_no
from signed as s
left join open_classes as w on w.class_id = s.class_id
where w.class_id is null
