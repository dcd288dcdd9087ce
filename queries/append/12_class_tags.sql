-- Which image of a class carries which tag?
-- reads: carried, vocabulary
-- returns: class_id, tag_id, image_no, error
select
    t.class_id as class_id,
    v.tag_id as tag_id,
    t.image_no as image_no,
    t.error as error
from carried as t
inner join vocabulary as v on v.known_id = t.tag_id
