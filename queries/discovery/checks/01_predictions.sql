-- Which rows of the predictions break the definition of their columns?
-- reads: predictions
-- parameter check_label: whether label must be filled
-- parameter check_prediction: whether prediction must be filled
-- returns: one row: total, then for each problem a count and an example
select
    count(*) as total,
    sum(case when image_id is null then 1 else 0 end) as null_image_id,
    min(case when image_id is null then class_name end) as null_image_id_example,
    sum(case when {{ 'label is null' if check_label else 'false' }} then 1 else 0 end) as null_label,
    min(case when {{ 'label is null' if check_label else 'false' }} then image_id end) as null_label_example,
    sum(case when {{ 'prediction is null' if check_prediction else 'false' }} then 1 else 0 end) as null_prediction,
    min(case when {{ 'prediction is null' if check_prediction else 'false' }} then image_id end) as null_prediction_example,
    sum(case when class_name is null then 1 else 0 end) as null_class,
    min(case when class_name is null then image_id end) as null_class_example,
    sum(case when error is null then 1 else 0 end) as null_error,
    min(case when error is null then image_id end) as null_error_example
from predictions
