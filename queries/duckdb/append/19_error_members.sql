-- Which errors carry each tag that a changed image with an error carries? As bit strings.
-- reads: changed_1, tagged
-- parameter most_errors: misclassified images in the largest class
-- returns: class_id, tag_1, error_bits (one bit for each misclassified image of the class)
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    -- Errors come first in a class.
    bitstring_agg(t.image_no, 0, {{ most_errors - 1 }}) as error_bits
from tagged as t
inner join (
    select class_id, tag_1
    from changed_1
    where sign = 1 and error = 1
    group by class_id, tag_1
) as n on n.class_id = t.class_id and n.tag_1 = t.tag_id
where t.error = 1
group by t.class_id, t.tag_id
