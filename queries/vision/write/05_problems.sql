-- Which of these images could the step not use?
-- reads: outputs (image_id, uri, output), problems (uri, reason)
-- parameter step: the step
-- parameter model: its model or tagger, or empty
-- returns: nothing; writes image_problems
insert into image_problems (image_id, uri, step, model, reason)
select
    outputs.image_id,
    case when outputs.uri not like 'data:%' then outputs.uri end,
    {{ step | literal }},
    {{ model | literal }},
    coalesce(
        problems.reason,
        case when outputs.uri is null then 'it has neither a file nor bytes' else 'the model gave nothing for it' end
    )
from outputs
left join problems on problems.uri = outputs.uri
where outputs.output is null;
