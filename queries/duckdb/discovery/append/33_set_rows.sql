-- Which images carry, or lack, each tag of a new set? As bit strings.
-- reads: prime.tagged, outcomes, class_numbers, tag_numbers, loose_tags, new_sets_2 ... new_sets_size
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- parameter sizes: the numbers of tags in a set, from 2 on
-- parameter most_images: images in the largest class
-- returns: class_id, tag_1, image_bits (one bit for each image of the class)
{% from 'discovery/append/rows.jinja' import rows_of, tags_of_sets %}
with {{ rows_of(tags_of_sets(sizes), schema, run_id, max_absent, last_tag) }}

select
    class_id,
    tag_1,
    bitstring_agg(image_no, 0, {{ most_images - 1 }}) as image_bits
from wanted_rows
group by class_id, tag_1
