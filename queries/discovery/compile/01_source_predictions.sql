-- Which columns of the user's predictions does a search read?
-- reads: the user's table
-- parameter table: the table, as SQL
-- parameter columns: our names and the columns of the table, as SQL
-- returns: the columns, renamed; one row for each row of the table
select
{% for name, column in columns %}
    p.{{ column }} as {{ name }}{{ "" if loop.last else "," }}
{% endfor %}
from {{ table }} as p
