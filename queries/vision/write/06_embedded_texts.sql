-- What does each of these texts mean to the model?
-- reads: outputs (text, output: the embedding)
-- parameter table: where they go
-- parameter model: the model
-- parameter template: the prompt
-- returns: nothing; writes one row for each text
insert into {{ table | identifier }} (text, model, template, embedding)
select text, {{ model | literal }}, {{ template | literal }}, output
from outputs;
