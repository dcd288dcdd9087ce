-- How many texts, and how many numbers, are there in columns of numbers?
-- reads: the relation `relation`, of texts
-- parameter relation: which one
-- parameter columns: its columns to look at
-- returns: column_name, texts, numbers (fewer, where two texts are one number, as 1.10 and 1.1)
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
)

select
    column_name,
    count(distinct value_text) as texts,
    count(distinct try_cast(value_text as double)) as numbers
from each_value
group by column_name
