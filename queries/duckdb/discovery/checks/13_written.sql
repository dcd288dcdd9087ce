-- Do the label and the prediction of a text file hold truth values, or numbers?
-- reads: source_predictions
-- parameter label: its column of labels, as text
-- parameter prediction: its column of predictions, as text
-- parameter where: SQL condition that keeps a row, or none
-- returns: one row: for both columns how many different values are no truth value and no number
--    (of at most 15 digits, which a double has exactly), their texts and numbers; shared_texts, and
--    texts and numbers of both together; an example of two texts that are one number
with kept as (
    select
        {{ label }} as label,
        {{ prediction }} as prediction
    from source_predictions
{% if where is not none %}
    where {{ where }}
{% endif %}
),

each_value as (
    select label as written, 1 as is_label, 0 as is_prediction from kept group by label
    union all
    select prediction as written, 0 as is_label, 1 as is_prediction from kept group by prediction
),

each_text as (
    select
        written,
        max(is_label) as is_label,
        max(is_prediction) as is_prediction,
        lower(written) in ('true', 'false') as is_truth,
        case when regexp_full_match(written, '[-+]?[0-9]+(\.[0-9]*)?')
            and length(regexp_replace(written, '[^0-9]', '', 'g')) <= 15
            then cast(written as double) end as number
    from each_value
    where written is not null
    group by written
),

twins as (
    select number, min(written) as one, max(written) as other
    from each_text
    where number is not null
    group by number
    having count(*) > 1
)

select
    count(*) filter (where is_label = 1 and not is_truth) as label_no_truth,
    count(*) filter (where is_prediction = 1 and not is_truth) as prediction_no_truth,
    count(*) filter (where is_label = 1 and number is null) as label_no_number,
    count(*) filter (where is_prediction = 1 and number is null) as prediction_no_number,
    count(*) filter (where is_label = 1) as label_texts,
    count(*) filter (where is_prediction = 1) as prediction_texts,
    count(distinct number) filter (where is_label = 1) as label_numbers,
    count(distinct number) filter (where is_prediction = 1) as prediction_numbers,
    count(*) filter (where is_label = 1 and is_prediction = 1) as shared_texts,
    count(*) as texts,
    count(distinct number) as numbers,
    (select one from twins order by number limit 1) as one,
    (select other from twins order by number limit 1) as other
from each_text
