-- Which tags have enough errors, of all classes? Kept while the classes are counted in groups.
-- reads: candidates_1
-- returns: the columns of candidates_1
select
    class_id,
    tag_1,
    errors
from candidates_1
