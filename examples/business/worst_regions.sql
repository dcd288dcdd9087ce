-- In which regions, and with which camera, do failure modes lose the largest share of order value?
with in_failure_modes as (
    -- An image in several failure modes is lost once.
    select distinct image_id
    from prime.v_failure_mode_images
    where error = 1
)

select
    o.region as region,
    o.camera as camera,
    count(*) as orders,
    count(f.image_id) as lost_orders,
    sum(o.order_value) as order_value,
    sum(case when f.image_id is not null then o.order_value else 0 end) as lost_value,
    cast(sum(case when f.image_id is not null then o.order_value else 0 end) as double)
    / cast(sum(o.order_value) as double) as lost_share
from 'orders.parquet' as o
left join in_failure_modes as f on f.image_id = o.image_id
group by o.region, o.camera
order by lost_share desc, region, camera
