-- Which errors carry each tag that a changed image with an error carries?
-- reads: prime.tagged, outcomes, class_numbers, tag_numbers, loose_tags, changed_1
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_1, image_no
{% from 'discovery/append/rows.jinja' import rows_of %}
with {{ rows_of('select class_id, tag_1 from changed_1 where sign = 1 and error = 1', schema, run_id, max_absent, last_tag, errors_only=True) }}

select
    class_id,
    tag_1,
    image_no
from wanted_rows
