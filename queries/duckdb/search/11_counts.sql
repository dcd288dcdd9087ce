-- How many images and errors does each surviving set have?
-- reads: members_size
-- parameter size: tags in a set
-- parameter error_words: words or strings for the misclassified images of the largest class
-- parameter right_words: words or strings for the correctly classified images of the largest class
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
{% from 'definitions.jinja' import bits_set %}
with counted as (
    select
        class_id,
{% for i in range(1, size + 1) %}
        tag_{{ i }},
{% endfor %}
        {{ bits_set('errors_#', error_words) }} as errors,
        {{ bits_set('rights_#', right_words) }} as rights
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
