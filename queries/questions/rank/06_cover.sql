-- Which few failure modes explain most errors?
-- reads: picks, families, classes
-- returns: rank (order of the picks), mode_id, class_name, tags, images, errors, accuracy,
--    accuracy_drop, new_errors (those that no mode above explains), cumulative_errors,
--    cumulative_coverage (share of all errors of the run)
select
    p.pick as rank,
    f.mode_id as mode_id,
    f.class_name as class_name,
    f.tags as tags,
    f.images as images,
    f.errors as errors,
    f.accuracy as accuracy,
    f.accuracy_drop as accuracy_drop,
    p.new_errors as new_errors,
    cast(sum(p.new_errors) over (order by p.pick) as bigint) as cumulative_errors,
    cast(sum(p.new_errors) over (order by p.pick) as double)
    / (select sum(errors) from classes) as cumulative_coverage
from picks as p
inner join families as f on f.place = p.place
order by p.pick
