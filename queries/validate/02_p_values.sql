-- How likely is it that so many of its images are errors by chance? Were the errors of a class dealt
-- out among its images at random, the errors of a tag set would have a hypergeometric distribution.
-- reads: tested
-- parameter digits: how many decimal digits the largest number of terms has
-- returns: class_images, class_errors, images, errors, tag_sets, p_value (of so many errors or more)
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

-- ln of the binomial coefficients, but for those factors that all terms have in common.
common as (
    select
        class_images,
        class_errors,
        images,
        errors,
        tag_sets,
        terms,
        {{ log_factorial('class_errors') }}
            + {{ log_factorial('(class_images - class_errors)') }}
            + {{ log_factorial('images') }}
            + {{ log_factorial('(class_images - images)') }}
            - {{ log_factorial('class_images') }} as log_common
    from tested
),

summands as (
    select
        t.class_images as class_images,
        t.class_errors as class_errors,
        t.images as images,
        t.errors as errors,
        t.tag_sets as tag_sets,
        t.log_common as log_common,
        t.errors + n.number as chance_errors
    from common as t
    inner join numbers as n on n.number < t.terms
    where
        -- Other numbers of errors are impossible: there are not so many right images.
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
        - {{ log_factorial('chance_errors') }}
        - {{ log_factorial('(class_errors - chance_errors)') }}
        - {{ log_factorial('(images - chance_errors)') }}
        - {{ log_factorial('(class_images - class_errors - images + chance_errors)') }}
    ))) as p_value
from summands
group by class_images, class_errors, images, errors, tag_sets
