-- Are all values of the columns of a text file days, or moments?
-- reads: the relation `relation`, of texts
-- parameter relation: which one
-- parameter columns: its columns to look at
-- returns: column_name, and how many of its values are no date, moment, day_first and month_first date
with each_value as (
    unpivot (
        select
{% for column in columns %}
            trim({{ column | identifier }}) as {{ column | identifier }}{{ "" if loop.last else "," }}
{% endfor %}
        from {{ relation | identifier }}
    )
    on columns(*)
    into
        name column_name
        value value_text
),

-- Days repeat, and to read one takes long.
each_text as (
    select column_name, value_text, count(*) as rows_of_text
    from each_value
    group by column_name, value_text
)

select
    column_name,
    coalesce(sum(rows_of_text) filter (
        where not regexp_full_match(value_text, '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}')
        or try_cast(value_text as date) is null
    ), 0) as no_date,
    coalesce(sum(rows_of_text) filter (
        where not regexp_full_match(value_text, '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ].*)?')
        or try_cast(value_text as timestamp) is null
    ), 0) as no_moment,
    coalesce(sum(rows_of_text) filter (
        where try_strptime(value_text, ['%d/%m/%Y', '%d-%m-%Y', '%d.%m.%Y']) is null
    ), 0) as no_day_first,
    coalesce(sum(rows_of_text) filter (
        where try_strptime(value_text, ['%m/%d/%Y', '%m-%d-%Y', '%m.%d.%Y']) is null
    ), 0) as no_month_first
from each_text
group by column_name
