-- Which whole numbers are there, from 0 on? Digit by digit: every engine can do that.
-- reads: nothing
-- parameter most: the largest number
-- returns: number
{% set places = most | string | length %}
with digits as (
{% for digit in range(10) %}
    {{ "" if loop.first else "union all " }}select cast({{ digit }} as bigint) as digit
{% endfor %}
),

numbers as (
    select
        {% for place in range(places) %}{{ "" if loop.first else " + " }}{{ 10 ** place }} * d_{{ place }}.digit{% endfor %} as number
    from digits as d_0
{% for place in range(1, places) %}
    cross join digits as d_{{ place }}
{% endfor %}
)

select number
from numbers
where number <= {{ most }}
