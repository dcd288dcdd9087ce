-- Append the results of a run.
-- reads: classes, tag_sets, failure_modes, failure_mode_tags
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run
-- parameter largest: how many tag columns there are
-- returns: nothing; adds the run to classes, tag_sets, failure_modes and failure_mode_tags
insert into {{ schema }}.classes
select {{ run_id }}, class_id, class_name, images, errors, accuracy
from classes
order by class_id;

insert into {{ schema }}.tag_sets
select
    {{ run_id }},
    class_name,
    tags,
    tag_count,
{% for i in range(1, largest + 1) %}
    tag_{{ i }},
{% endfor %}
    images,
    errors,
    accuracy,
    necessity_margin
from tag_sets;

insert into {{ schema }}.failure_modes
select
    {{ run_id }},
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
order by excess_errors desc, class_name, tags;

insert into {{ schema }}.failure_mode_tags
select {{ run_id }}, mode_id, tag, present, accuracy_without, necessity_margin
from failure_mode_tags
order by mode_id, present desc, tag;
