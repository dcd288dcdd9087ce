-- Which images could the step not use, now or in an earlier run that this one did not try again?
-- reads: prime_sql_outputs (image_id, uri, has_source, output, reason)
-- parameter problems: the table of problems, with its schema
-- parameter step: the step
-- parameter model: its model or tagger
-- returns: image_id, uri, reason
select
    image_id,
    uri,
    coalesce(
        reason,
        case when has_source then 'the model gave nothing for it' else 'it has neither a file nor bytes' end
    ) as reason
from prime_sql_outputs
where output is null
union all
select earlier.image_id, earlier.uri, earlier.reason
from {{ problems | identifier }} as earlier
where
    earlier.step = {{ step | literal }}
    and earlier.model = {{ model | literal }}
    and not exists (select 1 from prime_sql_outputs as outputs where outputs.image_id = earlier.image_id)
