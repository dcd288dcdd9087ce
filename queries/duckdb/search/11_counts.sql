-- How many images and errors does each surviving set have?
-- reads: members_size
-- parameter size: tags in a set
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
select
    class_id,
{% for i in range(1, size + 1) %}
    tag_{{ i }},
{% endfor %}
    cast(coalesce(bit_count(error_bits), 0) + coalesce(bit_count(right_bits), 0) as bigint)
        as images,
    cast(coalesce(bit_count(error_bits), 0) as bigint) as errors
from members_{{ size }}
