-- Which errors carry each tag that a changed image with an error carries? As bit strings.
-- reads: prime.tagged, outcomes, class_numbers, tag_numbers, loose_tags, changed_1
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- parameter most_errors: misclassified images in the largest class
-- returns: class_id, tag_1, error_bits (one bit for each misclassified image of the class)
{% from 'discovery/append/rows.jinja' import rows_of %}
with {{ rows_of('select class_id, tag_1 from changed_1 where sign = 1 and error = 1', schema, run_id, max_absent, last_tag, errors_only=True) }}

select
    class_id,
    tag_1,
    -- Errors come first in a class.
    bitstring_agg(image_no, 0, {{ most_errors - 1 }}) as error_bits
from wanted_rows
group by class_id, tag_1
