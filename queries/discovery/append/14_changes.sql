-- Which images came, went or changed in each class?
-- reads: named_images, present_images, classes, retagged
-- returns: change_no, class_id, sign (-1: the image as it was; 1: as it is), error, image_id, place (of the
--    image as it was)
with before as (
    select
        c.class_id as class_id,
        n.image_id as image_id,
        n.error as error,
        n.place as place
    from named_images as n
    inner join classes as c on c.class_name = n.class_name
),

after as (
    select
        c.class_id as class_id,
        p.image_id as image_id,
        p.error as error
    from present_images as p
    inner join classes as c on c.class_name = p.class_name
),

changed as (
    select
        coalesce(a.class_id, b.class_id) as class_id,
        coalesce(a.image_id, b.image_id) as image_id,
        b.error as error_before,
        a.error as error_after,
        b.place as place
    from before as b
    full outer join after as a on a.class_id = b.class_id and a.image_id = b.image_id
),

signed as (
    select class_id, -1 as sign, error_before as error, error_after as other, image_id, place
    from changed
    where error_before is not null

    union all

    select class_id, 1 as sign, error_after as error, error_before as other, image_id, place
    from changed
    where error_after is not null
)

select
    row_number() over (order by s.class_id, s.image_id, s.sign) as change_no,
    s.class_id as class_id,
    s.sign as sign,
    s.error as error,
    s.image_id as image_id,
    s.place as place
from signed as s
left join retagged as r on r.image_id = s.image_id
where s.other is null or s.other <> s.error or r.image_id is not null
