-- Which images carry all tags of a surviving set? As bits, one row for each set: in words, which are
-- counted faster, or in one bit string, where that many columns would take too much memory. Where
-- right_words is 0, only the misclassified images: larger sets are counted from pairs.
-- reads: size 1: tagged, classes, candidates_1; larger: members_1, members_(size - 1),
--    candidates_size
-- parameter size: tags in a set
-- parameter bits: images in a word; 0 for bit strings
-- parameter error_words: words for the misclassified images of the largest class; 1 bit string
-- parameter right_words: words for the correctly classified images of the largest class; likewise;
--    0 leaves them out
-- parameter most_errors: misclassified images in the largest class
-- parameter most_right: correctly classified images in the largest class
-- returns: class_id, tag_1 ... tag_size, errors_0 ..., rights_0 ... (one bit for each misclassified
--    and each correctly classified image of the class, set where it carries all tags; a bit string
--    is null where no image does)
{% set tags = range(1, size + 1) %}
{% if size == 1 and not bits %}
select
    t.class_id as class_id,
    t.tag_id as tag_1,
    -- Errors come first in a class, so the right images start where the errors end. The bounds are
    -- constant because bitstring_agg takes no others.
    bitstring_agg(t.image_no, 0, {{ most_errors - 1 }}) filter (where t.error = 1) as errors_0
{%- if right_words %},
    bitstring_agg(cast(t.image_no - c.errors as integer), 0, {{ most_right - 1 }})
        filter (where t.error = 0) as rights_0
{%- endif %}

from tagged as t
inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
inner join classes as c on c.class_id = t.class_id
group by t.class_id, t.tag_id
{% elif size == 1 %}
with placed as (
    select
        t.class_id as class_id,
        t.tag_id as tag_id,
        t.error as error,
        -- Errors come first in a class, so the right images start where the errors end.
        t.image_no - case when t.error = 1 then 0 else c.errors end as place
    from tagged as t
    inner join candidates_1 as s on s.class_id = t.class_id and s.tag_1 = t.tag_id
    inner join classes as c on c.class_id = t.class_id
{% if not right_words %}
    where t.error = 1
{% endif %}
),

words as (
    select
        class_id,
        tag_id,
        error,
        place // {{ bits }} as word,
        bit_or(cast(1 as hugeint) << (place % {{ bits }})) as bits
    from placed
    group by class_id, tag_id, error, place // {{ bits }}
)

select
    class_id,
    tag_id as tag_1,
{% for i in range(error_words) %}
    coalesce(max(case when error = 1 and word = {{ i }} then bits end), 0) as errors_{{ i }}{{ "" if loop.last and not right_words else "," }}
{% endfor %}
{% for i in range(right_words) %}
    coalesce(max(case when error = 0 and word = {{ i }} then bits end), 0) as rights_{{ i }}{{ "" if loop.last else "," }}
{% endfor %}
from words
group by class_id, tag_id
{% else %}
select
    s.class_id as class_id,
{% for i in tags %}
    s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
{% for i in range(error_words) %}
    m.errors_{{ i }} & t.errors_{{ i }} as errors_{{ i }}{{ "" if loop.last and not right_words else "," }}
{% endfor %}
{% for i in range(right_words) %}
    m.rights_{{ i }} & t.rights_{{ i }} as rights_{{ i }}{{ "" if loop.last else "," }}
{% endfor %}
from candidates_{{ size }} as s
inner join members_{{ size - 1 }} as m
    on m.class_id = s.class_id
{% for i in tags if i < size %}
    and m.tag_{{ i }} = s.tag_{{ i }}
{% endfor %}
inner join members_1 as t
    on t.class_id = s.class_id
    and t.tag_1 = s.tag_{{ size }}
{% endif %}
