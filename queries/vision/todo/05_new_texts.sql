-- Which texts has the model not embedded yet?
-- reads: texts
-- parameter table: where their embeddings are
-- parameter model: the model
-- parameter template: the prompt, with {} where the text goes
-- returns: text, prompt
select text, replace({{ template | literal }}, '{}', text) as prompt
from texts
where not exists (
    select 1
    from {{ table | identifier }} as done
    where
        done.text = texts.text
        and done.model = {{ model | literal }}
        and done.template = {{ template | literal }}
)
order by text
