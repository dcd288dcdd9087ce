-- The rows of `tagged`, class by class: a group of classes is then read without the others.
-- reads: tagged
-- returns: the columns of tagged
select
    class_id,
    tag_id,
    image_no,
    error
from tagged
order by class_id
