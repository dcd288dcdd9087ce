-- Which images carry each frequent tag of the classes that are counted again, and which lack it?
-- reads: prime.tagged, outcomes, class_numbers, tag_numbers, loose_tags, single_tags, open_classes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_id, image_no, error
{% from 'discovery/append/rows.jinja' import rows_of %}
{% set wanted %}
select s.class_id, s.tag_1 from single_tags as s inner join open_classes as w on w.class_id = s.class_id
{%- endset %}
with {{ rows_of(wanted, schema, run_id, max_absent, last_tag) }}

select
    class_id,
    tag_1 as tag_id,
    image_no,
    error
from wanted_rows
