-- How many images and errors does each surviving set have?
-- reads: members_size
-- parameter size: tags in a set
-- parameter error_words: words or strings for the misclassified images of the largest class
-- parameter right_words: words or strings for the correctly classified images of the largest class
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
with counted as (
    select
        class_id,
{% for i in range(1, size + 1) %}
        tag_{{ i }},
{% endfor %}
        cast(
{% for i in range(error_words) %}
            {{ "" if loop.first else "+ " }}cast(coalesce(bit_count(errors_{{ i }}), 0) as integer)
{% endfor %}
            as bigint
        ) as errors,
        cast(
{% for i in range(right_words) %}
            {{ "" if loop.first else "+ " }}cast(coalesce(bit_count(rights_{{ i }}), 0) as integer)
{% endfor %}
            as bigint
        ) as rights
    from members_{{ size }}
)

select
    class_id,
{% for i in range(1, size + 1) %}
    tag_{{ i }},
{% endfor %}
    errors + rights as images,
    errors
from counted
