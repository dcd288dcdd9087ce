-- What is the largest run number in any table, including runs that were never completed?
-- parameter schema: the quoted schema of the results
-- parameter tables: the tables that hold rows of runs
-- returns: one row: run_id, 0 if there is none
select coalesce(max(n.run_id), 0) as run_id
from (
{% for table in tables %}
    select max(run_id) as run_id from {{ schema }}.{{ table }}
    {{ "" if loop.last else "union all" }}
{% endfor %}
) as n
