-- Which images could the step not use? Noted until its next run.
-- reads: prime_sql_problems (image_id, uri, reason)
-- parameter problems: the table of problems, with its schema
-- parameter step: the step
-- parameter model: its model or tagger
-- returns: nothing; replaces those that were noted for the step and model
insert overwrite {{ problems | identifier }} partition (step = {{ step | literal }}, model = {{ model | literal }})
(image_id, uri, reason)
select image_id, uri, reason
from prime_sql_problems
