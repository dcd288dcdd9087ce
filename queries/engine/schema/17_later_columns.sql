-- Which columns may the tables of an earlier version lack? They are empty for its runs.
-- parameter schema: the quoted schema of the results, prime
-- returns: nothing; adds them
alter table {{ schema }}.runs add column if not exists job varchar;
comment on column {{ schema }}.runs.job is 'Name of the job that made the run, or null';
