-- Which images carry each frequent tag, class by class? A group of classes can then be read without the
-- others.
-- reads: tagged
-- returns: the columns of tagged
select
    class_id,
    tag_id,
    image_no,
    error
from tagged
order by class_id
