-- Which tags recur in the failure modes of several classes?
-- reads: failure_modes, failure_mode_tags
-- asked as: recurring_tags
-- parameter min_classes = 2: in how many classes at least
-- returns: tag, classes, failure_modes, mean_accuracy_drop, mean_necessity_margin,
--    example_class and example_tags (of the mode with the most excess errors)
with mode_tags as (
    select
        case when t.present then t.tag else 'not ' || t.tag end as tag,
        t.necessity_margin as necessity_margin,
        m.class_name as class_name,
        m.tags as tags,
        m.accuracy_drop as accuracy_drop,
        row_number() over (
            partition by t.tag, t.present order by m.excess_errors desc, m.class_name, m.tags
        ) as place
    from failure_mode_tags as t
    inner join failure_modes as m on m.mode_id = t.mode_id
)

select
    tag,
    count(distinct class_name) as classes,
    count(*) as failure_modes,
    avg(accuracy_drop) as mean_accuracy_drop,
    avg(necessity_margin) as mean_necessity_margin,
    min(case when place = 1 then class_name end) as example_class,
    min(case when place = 1 then tags end) as example_tags
from mode_tags
group by tag
having count(distinct class_name) >= {{ min_classes | number }}
order by classes desc, failure_modes desc, tag
