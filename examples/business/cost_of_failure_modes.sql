-- What does each failure mode cost: the value of the orders whose image is misclassified?
-- Failure modes overlap, so that these costs do not add up; worst_regions.sql counts each image once.
select
    i.class_name as class_name,
    i.tags as tags,
    count(*) as orders,
    sum(i.error) as lost_orders,
    sum(o.order_value) as order_value,
    sum(case when i.error = 1 then o.order_value else 0 end) as lost_value,
    -- Beyond what the class loses anyway, were its error rate that of all its images.
    sum(case when i.error = 1 then o.order_value else 0 end)
    - sum(o.order_value) * (1 - max(c.accuracy)) as excess_lost_value
from prime.v_failure_mode_images as i
inner join prime.v_classes as c on c.run_id = i.run_id and c.class_name = i.class_name
inner join 'orders.parquet' as o on o.image_id = i.image_id
group by i.run_id, i.mode_id, i.class_name, i.tags
order by lost_value desc, class_name, tags
