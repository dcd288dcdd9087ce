-- Which labels, predictions and classes are there?
-- reads: predictions
-- returns: value, label_rows, prediction_rows and class_rows that have it, right_rows (right
--    predictions of that label)
with each_value as (
    select label as value, 1 as labels, 0 as predictions, 0 as classes, 1 - error as right_ones
    from predictions
    union all
    select prediction as value, 0 as labels, 1 as predictions, 0 as classes, 0 as right_ones
    from predictions
    union all
    select class_name as value, 0 as labels, 0 as predictions, 1 as classes, 0 as right_ones
    from predictions
)

select
    value,
    sum(labels) as label_rows,
    sum(predictions) as prediction_rows,
    sum(classes) as class_rows,
    sum(right_ones) as right_rows
from each_value
where value is not null
group by value
order by value
