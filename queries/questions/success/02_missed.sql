-- Which failure modes did a greedy search miss?
-- reads: failure_modes (of an exhaustive search on its images), prime.failure_modes
-- parameter schema: the quoted schema of the results
-- parameter run_id: the greedy run
-- returns: the columns of failure_modes up to error_coverage
select
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
    m.images as images,
    m.errors as errors,
    m.accuracy as accuracy,
    m.class_images as class_images,
    m.class_errors as class_errors,
    m.class_accuracy as class_accuracy,
    m.accuracy_drop as accuracy_drop,
    m.excess_errors as excess_errors,
    m.error_coverage as error_coverage
from failure_modes as m
left join {{ schema }}.failure_modes as f on f.run_id = {{ run_id }} and f.mode_id = m.mode_id
where f.mode_id is null
order by m.excess_errors desc, m.class_name, m.tags, m.mode_id
