-- What does each failure mode cost, and whose is it?
select
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    c.team as team,
    m.errors as errors,
    m.errors * c.cost_per_error as cost,
    m.excess_errors * c.cost_per_error as excess_cost
from {{ ref('failure_modes') }} as m
inner join {{ ref('class_costs') }} as c on c.class_name = m.class_name
