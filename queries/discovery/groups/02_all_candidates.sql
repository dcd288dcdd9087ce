-- Which tags have enough errors, in all classes? Kept while the classes are counted group by group.
-- reads: candidates_1
-- returns: the columns of candidates_1
select
    class_id,
    tag_1,
    errors
from candidates_1
