-- Which values of a wide tags table do not say that the image lacks the tag?
-- reads: wide_values
-- returns: image_id, tag, value, is_present (1 for true, 0 for what is neither true nor false)
select
    image_id,
    tag,
    value,
    case when lower(value) in ('true', 't', 'yes', '1', '1.0') then 1 else 0 end as is_present
from wide_values
where lower(value) not in ('false', 'f', 'no', '0', '0.0')
