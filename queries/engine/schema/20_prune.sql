-- Delete runs.
-- parameter schema: the quoted schema of the results
-- parameter tables: the tables that hold rows of runs
-- parameter runs: the numbers of the runs
-- returns: nothing; deletes their rows from each table
{% for table in tables %}
delete from {{ schema }}.{{ table }}
where run_id in ({{ runs | join(", ") }});

{% endfor %}
