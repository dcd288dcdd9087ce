-- Are all values of the columns of a text file truth values, or numbers?
-- reads: the relation `relation`, of texts
-- parameter relation: which one
-- parameter columns: its columns to look at
-- returns: column_name, filled (values that are not null), and how many of those are no truth value,
--    small_whole number (of 64 bits), whole number, number; padded (numbers that begin with 0, as 007);
--    no_number_example
with each_value as (
    unpivot (
        select
{% for column in columns %}
            {{ column | identifier }}{{ "" if loop.last else "," }}
{% endfor %}
        from {{ relation | identifier }}
    )
    on columns(*)
    into
        name column_name
        value value_text
),

read as (
    select
        column_name,
        value_text,
        -- What can be cast to a number and is none to people, such as nan and 1_000, is none.
        isfinite(try_cast(value_text as double)) and not contains(value_text, '_') as is_number,
        not contains(value_text, '.') and not contains(lower(value_text), 'e') as is_whole
    from each_value
)

select
    column_name,
    count(*) as filled,
    count(*) filter (
        where length(value_text) > 7
        or lower(trim(value_text)) not in ('true', 'false', 't', 'f', 'yes', 'no')
    ) as no_truth,
    count(*) filter (
        where not coalesce(is_number and is_whole and try_cast(value_text as bigint) is not null, false)
    ) as no_small_whole,
    count(*) filter (
        where not coalesce(is_number and is_whole and length(value_text) <= 37, false)
    ) as no_whole,
    count(*) filter (where not coalesce(is_number, false)) as no_number,
    count(*) filter (where regexp_matches(value_text, '^\s*[-+]?0[0-9]')) as padded,
    min(value_text) filter (where not coalesce(is_number, false)) as no_number_example
from read
group by column_name
