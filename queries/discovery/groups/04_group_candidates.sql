-- Which tags of a group of classes have enough errors?
-- reads: all_candidates
-- parameter first_class: the first class of the group
-- parameter last_class: its last class
-- returns: the columns of candidates_1
select
    class_id,
    tag_1,
    errors
from all_candidates
where class_id between {{ first_class }} and {{ last_class }}
