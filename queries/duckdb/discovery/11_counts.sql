-- How many images and errors does each surviving set have?
-- reads: size 1: members_1; size 2: members_2; larger: candidates_size, members_1, members_2
-- parameter size: tags in a set
-- parameter bits: images in a word; 0 for bit strings
-- parameter error_words: words or strings for the misclassified images of the largest class
-- parameter right_words: words or strings for the correctly classified images of the largest class
-- returns: class_id, tag_1 ... tag_size, images, errors; one row for each surviving tag set
{% from 'definitions.jinja' import bits_set %}
{% set tags = range(1, size + 1) %}
{% set pairs = tags | batch(2) | list %}
{% set places = range(1, pairs | length + 1) | list %}
{% if size < 3 %}
with counted as (
    select
        class_id,
{% for i in tags %}
        tag_{{ i }},
{% endfor %}
        {{ bits_set("errors_#", error_words) }} as errors,
        {{ bits_set("rights_#", right_words) }} as rights
    from members_{{ size }}
)
{% else %}
-- A set's images are those that its first two tags, the next two, and so on have in common: there
-- are few pairs, so they fit in the processor's cache. They are named before they are counted,
-- because DuckDB's planner takes long over hundreds of pairs of columns of two tables.
with words as (
    select
{% for p in places %}
{% for i in range(error_words) %}
        p_{{ p }}.errors_{{ i }} as errors_{{ p }}_{{ i }},
{% endfor %}
{% for i in range(right_words) %}
        p_{{ p }}.rights_{{ i }} as rights_{{ p }}_{{ i }},
{% endfor %}
{% endfor %}
{% for i in tags %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
        s.class_id as class_id
    from candidates_{{ size }} as s
{% for pair in pairs %}
{% set p = places[loop.index0] %}
{% if p == 1 and size > 3 and bits %}
    -- One thread alone reads the first 122,880 rows of a table, but all threads share the groups of an
    -- aggregate; no row is dropped, as each pair occurs once. For sets of three it takes longer.
    inner join (select distinct on (class_id, tag_1, tag_2) * from members_2) as p_1
{% else %}
    inner join members_{{ pair | length }} as p_{{ p }}
{% endif %}
        on p_{{ p }}.class_id = s.class_id
{% for i in pair %}
        and p_{{ p }}.tag_{{ loop.index }} = s.tag_{{ i }}
{% endfor %}
{% endfor %}
),

counted as (
    select
        class_id,
{% for i in tags %}
        tag_{{ i }},
{% endfor %}
        {{ bits_set("errors_" ~ places | join("_# & errors_") ~ "_#", error_words) }} as errors,
        {{ bits_set("rights_" ~ places | join("_# & rights_") ~ "_#", right_words) }} as rights
    from words
)
{% endif %}

select
    class_id,
{% for i in tags %}
    tag_{{ i }},
{% endfor %}
    errors + rights as images,
    errors
from counted
