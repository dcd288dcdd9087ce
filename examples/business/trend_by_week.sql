-- How does the order value that failure modes lose develop from week to week?
with in_failure_modes as (
    select distinct image_id
    from prime.v_failure_mode_images
    where error = 1
),

weeks as (
    select
        cast(date_trunc('week', o.ordered_on) as date) as week,
        count(*) as orders,
        count(f.image_id) as lost_orders,
        sum(o.order_value) as order_value,
        sum(case when f.image_id is not null then o.order_value else 0 end) as lost_value
    from 'orders.parquet' as o
    left join in_failure_modes as f on f.image_id = o.image_id
    group by cast(date_trunc('week', o.ordered_on) as date)
)

select
    week,
    orders,
    lost_orders,
    order_value,
    lost_value,
    cast(lost_value as double) / cast(order_value as double) as lost_share,
    lost_value - lag(lost_value) over (order by week) as change
from weeks
order by week
