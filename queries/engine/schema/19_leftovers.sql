-- Which rows do not belong to any run? A process that was killed while writing a run may have left
-- them.
-- reads: runs
-- parameter schema: the quoted schema of the results
-- parameter tables: the tables that hold rows of runs
-- returns: run_id, table_name, rows_left (how many); no rows if all is well
{% for table in tables if table != "runs" %}
select
    t.run_id as run_id,
    {{ table | literal }} as table_name,
    count(*) as rows_left
from {{ schema }}.{{ table }} as t
left join {{ schema }}.runs as r on r.run_id = t.run_id
where r.run_id is null
group by t.run_id
{{ "" if loop.last else "union all" }}
{% endfor %}
order by run_id, table_name
