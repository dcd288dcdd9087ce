-- Of which kinds are all values of the columns of a text file?
-- reads: the relation `relation`, of texts
-- parameter relation: which one
-- parameter columns: its columns to look at
-- returns: column_name, filled (values that are not null), and how many of those are no truth value,
--    small_whole number (below 10^18), whole number, number, date, moment, day_first and month_first
--    date; padded (numbers that begin with 0, as 007); no_number_example; texts and numbers, how many different ones
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
        trim(value_text) as bare,
        -- What is not a number but can be cast to one, such as nan, is none.
        case when regexp_full_match(trim(value_text), '[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?')
            then try_cast(value_text as double) end as number
    from each_value
)

select
    column_name,
    count(*) as filled,
    count(*) filter (where lower(bare) not in ('true', 'false', 't', 'f', 'yes', 'no')) as no_truth,
    count(*) filter (where not regexp_full_match(bare, '[-+]?[0-9]{1,18}')) as no_small_whole,
    count(*) filter (where not regexp_full_match(bare, '[-+]?[0-9]{1,37}')) as no_whole,
    count(*) filter (where number is null) as no_number,
    count(*) filter (
        where not regexp_full_match(bare, '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}') or try_cast(bare as date) is null
    ) as no_date,
    count(*) filter (
        where not regexp_full_match(bare, '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ].*)?')
        or try_cast(bare as timestamp) is null
    ) as no_moment,
    count(*) filter (
        where try_strptime(bare, ['%d/%m/%Y', '%d-%m-%Y', '%d.%m.%Y']) is null
    ) as no_day_first,
    count(*) filter (
        where try_strptime(bare, ['%m/%d/%Y', '%m-%d-%Y', '%m.%d.%Y']) is null
    ) as no_month_first,
    count(*) filter (where regexp_full_match(bare, '[-+]?0[0-9].*')) as padded,
    min(value_text) filter (where number is null) as no_number_example,
    count(distinct value_text) as texts,
    count(distinct number) as numbers
from read
group by column_name
