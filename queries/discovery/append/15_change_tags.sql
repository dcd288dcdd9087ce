-- Which tags does each changed image carry, as it was and as it is?
-- reads: changes, named_tags, current_tags
-- returns: change_no, class_id, tag_id (of known_tags), sign, error
select
    c.change_no as change_no,
    c.class_id as class_id,
    t.tag_id as tag_id,
    c.sign as sign,
    c.error as error
from changes as c
inner join named_tags as t on t.place = c.place
where c.sign = -1

union all

select
    c.change_no as change_no,
    c.class_id as class_id,
    t.tag_id as tag_id,
    c.sign as sign,
    c.error as error
from changes as c
inner join current_tags as t on t.image_id = c.image_id
where c.sign = 1
