-- How many images and errors does each surviving set have?
-- reads: size 1: members_1; size 2: members_2; larger: candidates_size, members_1, members_2
-- parameter size: tags in a set
-- parameter error_words: words or strings for the misclassified images of the largest class
-- parameter right_words: words or strings for the correctly classified images of the largest class
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
{% from 'definitions.jinja' import bits_set %}
{% set tags = range(1, size + 1) %}
{# The images of a larger set are those that the first pair of its tags, the next pair, and so on
   have in common: there are few pairs, so that they are in the processor's cache. #}
{% set pairs = tags | batch(2) | list %}
{% set relations = ["s"] if size < 3 else ["p_1", "p_2", "p_3"][:pairs | length] %}
with counted as (
    select
        s.class_id as class_id,
{% for i in tags %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        {{ bits_set(relations | join(".errors_# & ") ~ ".errors_#", error_words) }} as errors,
        {{ bits_set(relations | join(".rights_# & ") ~ ".rights_#", right_words) }} as rights
{% if size < 3 %}
    from members_{{ size }} as s
{% else %}
    from candidates_{{ size }} as s
{% for pair in pairs %}
{% set p = relations[loop.index0] %}
{% if loop.first and size > 3 %}
    -- A thread reads 122,880 rows of a table, and there are fewer: but groups are shared out to all.
    inner join (select distinct on (class_id, tag_1, tag_2) * from members_2) as {{ p }}
{% else %}
    inner join members_{{ pair | length }} as {{ p }}
{% endif %}
        on {{ p }}.class_id = s.class_id
{% for i in pair %}
        and {{ p }}.tag_{{ loop.index }} = s.tag_{{ i }}
{% endfor %}
{% endfor %}
{% endif %}
)

select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    errors + rights as images,
    errors
from counted
