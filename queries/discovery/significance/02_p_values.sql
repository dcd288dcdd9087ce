-- How likely is it that a tag set has this many errors by chance? If the errors of a class were dealt
-- out among its images at random, those of a tag set would have a hypergeometric distribution.
-- reads: tested
-- parameter digits: how many decimal digits the largest number of terms has
-- returns: class_images, class_errors, images, errors, tag_sets, p_value (of this many errors or more)
{% from 'definitions.jinja' import log_factorial %}
with digits as (
{% for digit in range(10) %}
    {{ "" if loop.first else "union all " }}select {{ digit }} as digit
{% endfor %}
),

numbers as (
    select
{% for place in range(digits) %}
        {{ "" if loop.first else "+ " }}{{ 10 ** place }} * d_{{ place }}.digit
{% endfor %}
        as number
    from digits as d_0
{% for place in range(1, digits) %}
    cross join digits as d_{{ place }}
{% endfor %}
),

-- The argument of log_factorial for each number: 8 more.
raised as (
    select
        class_images,
        class_errors,
        images,
        errors,
        tag_sets,
        terms,
        cast(class_images as double) + 8 as m_class_images,
        cast(class_errors as double) + 8 as m_class_errors,
        cast(class_images - class_errors as double) + 8 as m_class_right,
        cast(images as double) + 8 as m_images,
        cast(class_images - images as double) + 8 as m_others
    from tested
),

-- ln of the binomial coefficients that all terms have in common.
common as (
    select
        class_images,
        class_errors,
        images,
        errors,
        tag_sets,
        terms,
        {{ log_factorial('m_class_errors') }}
            + {{ log_factorial('m_class_right') }}
            + {{ log_factorial('m_images') }}
            + {{ log_factorial('m_others') }}
            - {{ log_factorial('m_class_images') }} as log_common
    from raised
),

summands as (
    select
        t.class_images as class_images,
        t.class_errors as class_errors,
        t.images as images,
        t.errors as errors,
        t.tag_sets as tag_sets,
        t.log_common as log_common,
        cast(t.errors + n.number as double) + 8 as m_errors,
        cast(t.class_errors - t.errors - n.number as double) + 8 as m_other_errors,
        cast(t.images - t.errors - n.number as double) + 8 as m_right,
        cast(t.class_images - t.class_errors - t.images + t.errors + n.number as double) + 8
            as m_other_right
    from common as t
    inner join numbers as n on n.number < t.terms
    where
        -- Other numbers of errors are impossible: there are not that many right images.
        t.images - t.errors - n.number <= t.class_images - t.class_errors
)

select
    class_images,
    class_errors,
    images,
    errors,
    tag_sets,
    least(1.0, sum(exp(
        log_common
        - {{ log_factorial('m_errors') }}
        - {{ log_factorial('m_other_errors') }}
        - {{ log_factorial('m_right') }}
        - {{ log_factorial('m_other_right') }}
    ))) as p_value
from summands
group by class_images, class_errors, images, errors, tag_sets
