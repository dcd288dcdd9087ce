-- What does a dashboard (Evidence, Metabase, a spreadsheet) show about the runs in a file?
-- parameter schema: the quoted schema of the results, prime
-- parameter largest: how many tag columns there are
-- returns: nothing; makes the views v_… and their comments. Flat columns without lists; JSON is read into
--    typed ones. v_runs, v_failure_modes_all_runs and v_failure_mode_history are about all runs, the
--    others about the latest run of each job; all runs without a job count as one more job. A run that
--    its job did not publish is in none of them. Their tables have no schema before their names, as in
--    15_views.
{% from 'engine/schema/members.jinja' import members_of %}
create view if not exists {{ schema }}.v_runs as
with class_totals as (
    select
        run_id,
        count(*) as classes,
        cast(sum(images) as bigint) as images,
        cast(sum(errors) as bigint) as errors
    from classes
    group by run_id
),

mode_totals as (
    select
        run_id,
        count(*) as failure_modes,
        max(accuracy_drop) as largest_accuracy_drop
    from failure_modes
    group by run_id
),

verdict_totals as (
    select
        run_id,
        cast(sum(case when verdict = 'holds' then 1 else 0 end) as bigint) as holding_modes,
        cast(sum(case when verdict = 'fails' then 1 else 0 end) as bigint) as failing_modes,
        cast(sum(case when verdict = 'undecided' then 1 else 0 end) as bigint) as undecided_modes
    from validations
    group by run_id
),

latest as (
    select max(run_id) as run_id
    from runs
    where status = 'complete'
    group by job
)

select
    r.run_id as run_id,
    r.job as job,
    r.created_at as created_at,
    l.run_id is not null as is_latest,
    coalesce(c.images, 0) as images,
    coalesce(c.errors, 0) as errors,
    1 - c.errors / cast(c.images as double) as accuracy,
    coalesce(c.classes, 0) as classes,
    coalesce(m.failure_modes, 0) as failure_modes,
    m.largest_accuracy_drop as largest_accuracy_drop,
    v.created_at as validated_at,
    v.images as unseen_images,
    t.holding_modes as holding_modes,
    t.failing_modes as failing_modes,
    t.undecided_modes as undecided_modes,
    json_extract_string(r.sources, '$.predictions') as predictions_source,
    json_extract_string(r.sources, '$.tags') as tags_source,
    array_to_string(cast(json_extract(r.options, '$.group_by') as varchar []), ', ') as group_by,
    json_extract_string(r.options, '$.where') as condition,
    json_extract_string(r.options, '$.error') as error_condition,
    json_extract_string(r.options, '$.method') as method,
    cast(json_extract_string(r.options, '$.max_tags') as integer) as max_tags,
    cast(json_extract_string(r.options, '$.min_images') as bigint) as min_images,
    cast(json_extract_string(r.options, '$.min_drop') as double) as min_drop,
    array_to_string(
        cast(json_extract(r.options, '$.necessity') as varchar []), ', '
    ) as necessity,
    coalesce(
        cast(json_extract_string(r.options, '$.min_tag_images') as bigint),
        cast(json_extract_string(r.options, '$.min_images') as bigint)
    ) as min_tag_images,
    cast(json_extract_string(r.options, '$.max_absent') as integer) as max_absent,
    cast(json_extract_string(r.options, '$.max_q') as double) as max_q,
    cast(json_extract_string(r.options, '$.min_score') as double) as min_score,
    cast(json_array_length(r.warnings) as bigint) as warnings,
    r.note as note,
    r.counted_run_id as counted_run_id,
    r.version as version
from runs as r
left join class_totals as c on c.run_id = r.run_id
left join mode_totals as m on m.run_id = r.run_id
left join validation_runs as v on v.run_id = r.run_id
left join verdict_totals as t on t.run_id = r.run_id
left join latest as l on l.run_id = r.run_id
where r.status = 'complete';
comment on view {{ schema }}.v_runs is 'One row for each run: what it searched, with which thresholds, and what it found; none for a run that its job did not publish';
comment on column {{ schema }}.v_runs.run_id is 'Number of the run in this database, from 1';
comment on column {{ schema }}.v_runs.job is 'Name of the job that made it, or null';
comment on column {{ schema }}.v_runs.created_at is 'When the run was published, UTC';
comment on column {{ schema }}.v_runs.is_latest is 'Whether it is the latest run of its job; all runs without a job count as one more job';
comment on column {{ schema }}.v_runs.images is 'Images in all classes';
comment on column {{ schema }}.v_runs.errors is 'Misclassified ones among them';
comment on column {{ schema }}.v_runs.accuracy is '1 - errors / images';
comment on column {{ schema }}.v_runs.classes is 'Number of classes';
comment on column {{ schema }}.v_runs.failure_modes is 'Number of failure modes';
comment on column {{ schema }}.v_runs.largest_accuracy_drop is 'Largest accuracy drop of its failure modes; null if there are none';
comment on column {{ schema }}.v_runs.validated_at is 'When its failure modes were checked on unseen data, UTC; null if they were not';
comment on column {{ schema }}.v_runs.unseen_images is 'Unseen images that they were checked on';
comment on column {{ schema }}.v_runs.holding_modes is 'Failure modes that hold on unseen data';
comment on column {{ schema }}.v_runs.failing_modes is 'Failure modes that fail on unseen data';
comment on column {{ schema }}.v_runs.undecided_modes is 'Failure modes that too few unseen images fit';
comment on column {{ schema }}.v_runs.predictions_source is 'Where the predictions came from, without credentials';
comment on column {{ schema }}.v_runs.tags_source is 'Where the tags came from, without credentials';
comment on column {{ schema }}.v_runs.group_by is 'Columns whose values make the class';
comment on column {{ schema }}.v_runs.condition is 'SQL condition on the predictions, or null';
comment on column {{ schema }}.v_runs.error_condition is 'SQL condition that is true if the model is wrong; null: label <> prediction';
comment on column {{ schema }}.v_runs.method is 'exhaustive, or greedy: some failure modes may be missing';
comment on column {{ schema }}.v_runs.max_tags is 'Largest number of tags';
comment on column {{ schema }}.v_runs.min_images is 'Fewest images of a failure mode';
comment on column {{ schema }}.v_runs.min_drop is 'Smallest accuracy drop of a failure mode';
comment on column {{ schema }}.v_runs.necessity is 'Smallest rise in accuracy without any one tag, for 2, 3, … tags';
comment on column {{ schema }}.v_runs.min_tag_images is 'Fewest images on which a tag counts in a class';
comment on column {{ schema }}.v_runs.max_absent is 'Largest number of absent tags';
comment on column {{ schema }}.v_runs.max_q is 'Largest q-value of a failure mode, or null';
comment on column {{ schema }}.v_runs.min_score is 'Tags with a lower score were left out; null: none';
comment on column {{ schema }}.v_runs.warnings is 'How many things were odd about the input, see runs.warnings';
comment on column {{ schema }}.v_runs.note is 'Why there are no failure modes, if there are none';
comment on column {{ schema }}.v_runs.counted_run_id is 'The run that counted: itself, or the one whose stored counts it reused';
comment on column {{ schema }}.v_runs.version is 'Version of prime_sql';

create view if not exists {{ schema }}.v_failure_modes_all_runs as
select
    r.job as job,
    m.run_id as run_id,
    r.created_at as created_at,
    r.is_latest as is_latest,
    row_number() over (
        partition by m.run_id order by m.excess_errors desc, m.class_name, m.tags, m.mode_id
    ) as place,
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    m.tag_count as tag_count,
    m.images as images,
    m.errors as errors,
    m.accuracy as accuracy,
    c.accuracy_low as accuracy_low,
    c.accuracy_high as accuracy_high,
    m.class_images as class_images,
    m.class_errors as class_errors,
    m.class_accuracy as class_accuracy,
    m.accuracy_drop as accuracy_drop,
    m.excess_errors as excess_errors,
    m.error_coverage as error_coverage,
    c.p_value as p_value,
    c.q_value as q_value,
    c.family_wise_p as family_wise_p,
    v.verdict as verdict,
    v.images as unseen_images,
    v.errors as unseen_errors,
    v.accuracy as unseen_accuracy,
    v.accuracy_drop as unseen_accuracy_drop
from failure_modes as m
inner join v_runs as r on r.run_id = m.run_id
left join failure_mode_chance as c on c.run_id = m.run_id and c.mode_id = m.mode_id
left join validations as v on v.run_id = m.run_id and v.mode_id = m.mode_id;
{% set mode_columns = [
    ("job", "Name of the job that made the run, or null"),
    ("run_id", "The run"),
    ("created_at", "When the run was published, UTC"),
    ("is_latest", "Whether the run is the latest of its job"),
    ("place", "Place among the failure modes of the run, from 1: most excess errors first"),
    ("mode_id", "Hash of grouping, class and sorted tags: the same mode keeps it from run to run"),
    ("class_name", "The class"),
    ("tags", 'The tags, sorted, joined with " + "'),
    ("tag_count", "Number of tags"),
    ("images", "Images of the class that carry all tags"),
    ("errors", "Misclassified ones among them"),
    ("accuracy", "1 - errors / images"),
    ("accuracy_low", "Lower end of the Wilson interval of the accuracy, 95 %"),
    ("accuracy_high", "Upper end of the Wilson interval of the accuracy, 95 %"),
    ("class_images", "Images of the class"),
    ("class_errors", "Misclassified images of the class"),
    ("class_accuracy", "Accuracy on the class"),
    ("accuracy_drop", "class_accuracy - accuracy"),
    ("excess_errors", "errors - images x error rate of the class"),
    ("error_coverage", "Share of the errors of the class"),
    ("p_value", "Probability of at least this many errors if those of the class were dealt out at random"),
    ("q_value", "p_value adjusted for all eligible tag sets; null until asked for"),
    ("family_wise_p", "Share of the shuffles in which chance gave a failure mode as unlikely; null until asked for"),
    ("verdict", "On unseen data: holds, fails or undecided; null if the run was not validated"),
    ("unseen_images", "Unseen images of the class that fit the tags"),
    ("unseen_errors", "Misclassified ones among them"),
    ("unseen_accuracy", "1 - unseen_errors / unseen_images; null if there are no images"),
    ("unseen_accuracy_drop", "Accuracy on the unseen images of the class - unseen_accuracy"),
] %}
comment on view {{ schema }}.v_failure_modes_all_runs is 'One row for each failure mode of each run, with its p-value and, once validated, its verdict';
{% for name, text in mode_columns %}
comment on column {{ schema }}.v_failure_modes_all_runs.{{ name }} is {{ text | literal }};
{% endfor %}

create view if not exists {{ schema }}.v_failure_modes as
select
{% for name, text in mode_columns if name != "is_latest" %}
    {{ name }}{{ "" if loop.last else "," }}
{% endfor %}
from v_failure_modes_all_runs
where is_latest;
comment on view {{ schema }}.v_failure_modes is 'One row for each failure mode of the latest run of each job, with its p-value and, once validated, its verdict';
{% for name, text in mode_columns if name != "is_latest" %}
comment on column {{ schema }}.v_failure_modes.{{ name }} is {{ text | literal }};
{% endfor %}

create view if not exists {{ schema }}.v_failure_mode_history as
with seen as (
    select
        job,
        mode_id,
        count(*) as runs,
        min(run_id) as first_run_id,
        max(run_id) as last_run_id
    from v_failure_modes_all_runs
    group by job, mode_id
)

select
    s.job as job,
    s.mode_id as mode_id,
    l.class_name as class_name,
    l.tags as tags,
    l.is_latest as is_present,
    s.runs as runs,
    s.first_run_id as first_run_id,
    f.created_at as first_seen_at,
    s.last_run_id as last_run_id,
    l.created_at as last_seen_at,
    f.accuracy as first_accuracy,
    l.accuracy as last_accuracy,
    l.accuracy_drop as last_accuracy_drop,
    l.images as last_images,
    l.errors as last_errors
from seen as s
inner join v_failure_modes_all_runs as f
    on f.run_id = s.first_run_id and f.mode_id = s.mode_id
inner join v_failure_modes_all_runs as l
    on l.run_id = s.last_run_id and l.mode_id = s.mode_id;
comment on view {{ schema }}.v_failure_mode_history is 'One row for each job and tag set that was a failure mode in any of its runs, regardless of their thresholds';
comment on column {{ schema }}.v_failure_mode_history.job is 'Name of the job, or null';
comment on column {{ schema }}.v_failure_mode_history.mode_id is 'The failure mode';
comment on column {{ schema }}.v_failure_mode_history.class_name is 'The class';
comment on column {{ schema }}.v_failure_mode_history.tags is 'The tags, sorted, joined with " + "';
comment on column {{ schema }}.v_failure_mode_history.is_present is 'Whether it is a failure mode in the latest run of the job';
comment on column {{ schema }}.v_failure_mode_history.runs is 'Number of runs in which it was a failure mode';
comment on column {{ schema }}.v_failure_mode_history.first_run_id is 'The first of these runs';
comment on column {{ schema }}.v_failure_mode_history.first_seen_at is 'When that one was published, UTC';
comment on column {{ schema }}.v_failure_mode_history.last_run_id is 'The last of these runs';
comment on column {{ schema }}.v_failure_mode_history.last_seen_at is 'When that one was published, UTC';
comment on column {{ schema }}.v_failure_mode_history.first_accuracy is 'Its accuracy in the first of these runs';
comment on column {{ schema }}.v_failure_mode_history.last_accuracy is 'Its accuracy in the last of these runs';
comment on column {{ schema }}.v_failure_mode_history.last_accuracy_drop is 'Accuracy of the class - last_accuracy';
comment on column {{ schema }}.v_failure_mode_history.last_images is 'Its images in the last of these runs';
comment on column {{ schema }}.v_failure_mode_history.last_errors is 'Misclassified ones among them';

create view if not exists {{ schema }}.v_classes as
with class_modes as (
    select
        run_id,
        class_name,
        count(*) as failure_modes,
        max(accuracy_drop) as largest_accuracy_drop
    from failure_modes
    group by run_id, class_name
)

select
    r.job as job,
    c.run_id as run_id,
    r.created_at as created_at,
    c.class_name as class_name,
    c.images as images,
    c.errors as errors,
    c.accuracy as accuracy,
    coalesce(m.failure_modes, 0) as failure_modes,
    m.largest_accuracy_drop as largest_accuracy_drop
from classes as c
inner join v_runs as r on r.run_id = c.run_id
left join class_modes as m on m.run_id = c.run_id and m.class_name = c.class_name
where r.is_latest;
comment on view {{ schema }}.v_classes is 'One row for each class of the latest run of each job';
comment on column {{ schema }}.v_classes.job is 'Name of the job that made the run, or null';
comment on column {{ schema }}.v_classes.run_id is 'The run';
comment on column {{ schema }}.v_classes.created_at is 'When the run was published, UTC';
comment on column {{ schema }}.v_classes.class_name is 'The class: a label, or whatever the run was grouped by';
comment on column {{ schema }}.v_classes.images is 'Images of the class';
comment on column {{ schema }}.v_classes.errors is 'Misclassified images of the class';
comment on column {{ schema }}.v_classes.accuracy is '1 - errors / images';
comment on column {{ schema }}.v_classes.failure_modes is 'Number of its failure modes';
comment on column {{ schema }}.v_classes.largest_accuracy_drop is 'Largest accuracy drop of its failure modes; null if there are none';

create view if not exists {{ schema }}.v_failure_mode_tags as
select
    m.job as job,
    m.run_id as run_id,
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    t.tag as tag,
    t.present as is_present,
    m.accuracy as accuracy,
    t.accuracy_without as accuracy_without,
    t.necessity_margin as necessity_margin
from v_failure_modes as m
inner join failure_mode_tags as t on t.run_id = m.run_id and t.mode_id = m.mode_id;
comment on view {{ schema }}.v_failure_mode_tags is 'One row for each tag of each failure mode of the latest run of each job';
comment on column {{ schema }}.v_failure_mode_tags.job is 'Name of the job that made the run, or null';
comment on column {{ schema }}.v_failure_mode_tags.run_id is 'The run';
comment on column {{ schema }}.v_failure_mode_tags.mode_id is 'The failure mode';
comment on column {{ schema }}.v_failure_mode_tags.class_name is 'Its class';
comment on column {{ schema }}.v_failure_mode_tags.tags is 'All its tags, sorted, joined with " + "';
comment on column {{ schema }}.v_failure_mode_tags.tag is 'One of them';
comment on column {{ schema }}.v_failure_mode_tags.is_present is 'Whether images carry it; false if the mode says "not TAG"';
comment on column {{ schema }}.v_failure_mode_tags.accuracy is 'Accuracy of the mode';
comment on column {{ schema }}.v_failure_mode_tags.accuracy_without is 'Accuracy on the set without this tag; on the class if it is the only one';
comment on column {{ schema }}.v_failure_mode_tags.necessity_margin is 'accuracy_without - accuracy';

create view if not exists {{ schema }}.v_failure_mode_images as
with {{ members_of('v_failure_modes', largest) }}

select
    m.job as job,
    m.run_id as run_id,
    m.mode_id as mode_id,
    m.class_name as class_name,
    m.tags as tags,
    o.image_id as image_id,
    o.label as label,
    o.prediction as prediction,
    o.error as error
from members as i
inner join v_failure_modes as m on m.run_id = i.run_id and m.mode_id = i.mode_id
inner join outcomes as o
    on o.run_id = i.counted_run_id and o.class_id = i.class_id and o.image_no = i.image_no;
comment on view {{ schema }}.v_failure_mode_images is 'One row for each image of each failure mode of the latest run of each job; an image may be in several';
comment on column {{ schema }}.v_failure_mode_images.job is 'Name of the job that made the run, or null';
comment on column {{ schema }}.v_failure_mode_images.run_id is 'The run';
comment on column {{ schema }}.v_failure_mode_images.mode_id is 'The failure mode';
comment on column {{ schema }}.v_failure_mode_images.class_name is 'Its class';
comment on column {{ schema }}.v_failure_mode_images.tags is 'Its tags, sorted, joined with " + "';
comment on column {{ schema }}.v_failure_mode_images.image_id is 'The image, as text';
comment on column {{ schema }}.v_failure_mode_images.label is 'Its label, as text';
comment on column {{ schema }}.v_failure_mode_images.prediction is 'Its prediction, as text';
comment on column {{ schema }}.v_failure_mode_images.error is '1 where the model is wrong, else 0';
