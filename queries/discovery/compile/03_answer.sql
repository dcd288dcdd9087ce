-- Which tag sets are failure modes, worst first?
-- reads: failure_modes
-- returns: the columns that people read, most excess errors first
select
    mode_id,
    class_name,
    tags,
    tag_count,
    images,
    errors,
    accuracy,
    class_images,
    class_errors,
    class_accuracy,
    accuracy_drop,
    excess_errors,
    error_coverage
from failure_modes
order by excess_errors desc, class_name, tags
