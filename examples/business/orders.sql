-- Generated, not real: a shop that prints emoji on mugs had each picture ordered once.
-- The md5 of the image_id and a name serves as a random draw, so that the rows are the same everywhere.
-- Newer emoji were ordered in later weeks, and the cameras of a region photograph the mugs.
with draws as (
    select
        image_id,
        year,
        cast(md5_number_lower(image_id || ' region') % 100 as integer) as region_draw,
        cast(md5_number_lower(image_id || ' camera') % 100 as integer) as camera_draw,
        cast(md5_number_lower(image_id || ' value') % 9000 as integer) as value_draw,
        cast(md5_number_lower(image_id || ' day') % 28 as integer) as day_draw
    from 'examples/emoji/metadata.parquet'
)

select
    image_id,
    case
        when region_draw < 40 then 'north'
        when region_draw < 70 then 'south'
        when region_draw < 90 then 'west'
        else 'east'
    end as region,
    case when camera_draw < 60 then 'belt' else 'desk' end as camera,
    cast('2026-01-05' as date) + cast(3 * (year - 2010) + day_draw as integer) as ordered_on,
    cast((500 + value_draw) / 100.0 as decimal(8, 2)) as order_value
from draws
order by image_id
