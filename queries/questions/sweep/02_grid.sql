-- How many failure modes are there at each pair of thresholds, and how much do they cover?
-- reads: tag_sets, vocabulary, tagged and outcomes of the run that counted, classes, validations
-- parameter cells: the grid: min_images, min_drop and tag_images of each cell
-- parameter necessity: b_k by tag count, from 1 on
-- parameter max_tags: tags in the largest set
-- parameter max_absent: how many tags of a set may be absent
-- parameter largest: how many tag columns there are
-- parameter grouping: what the class is, as text
-- parameter validated: whether the run was validated
-- returns: min_images, min_drop, failure_modes, modes_1 ... modes_6 (by number of tags),
--    error_coverage (share of all errors that are in at least one mode; null without errors); on
--    unseen data decided (modes with enough images there), correlation (of their drops as found and
--    unseen), share_reached (whose unseen drop reaches min_drop - 0.05): null where a mode of the
--    cell was not validated
{% set least_images = cells | map(attribute="min_images") | min %}
{% set least_drop = cells | map(attribute="min_drop") | min %}
with cells as (
{% for cell in cells %}
    {{ "" if loop.first else "union all " }}select
        {{ cell.min_images }} as min_images,
        cast({{ cell.min_drop }} as double) as min_drop,
        {{ cell.tag_images }} as tag_images
{% endfor %}
),

tag_names as (
    select tag as name, tag_id, 1 as present
    from vocabulary
{% if max_absent %}

    union all

    select 'not ' || tag as name, tag_id, 0 as present
    from vocabulary
{% endif %}
),

-- How rare a tag is in its class; for an absent one, the images that carry it count, too.
rarity as (
    select
        s.class_name as class_name,
        s.tag_1 as name,
        case when n.present = 1 then s.images else least(s.images, c.images - s.images) end
            as tag_images
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
    inner join tag_names as n on n.name = s.tag_1
    where s.tag_count = 1
),

-- Those that are failure modes at the loosest thresholds.
measured as (
    select
        row_number() over (order by s.class_name, s.tag_count, s.tag_1{% for i in range(2, largest + 1) %}, s.tag_{{ i }}{% endfor %}) as set_no,
        c.class_id as class_id,
        s.tag_count as tag_count,
{% for i in range(1, largest + 1) %}
        s.tag_{{ i }} as tag_{{ i }},
{% endfor %}
{% if validated %}
        -- As in discovery/14_failure_modes.sql.
        substring(md5(
            md5({{ grouping | literal }}) || md5(s.class_name)
{% for i in range(1, largest + 1) %}
            || coalesce(md5(s.tag_{{ i }}), '')
{% endfor %}
        ), 1, 16) as mode_id,
{% endif %}
        s.images as images,
        c.accuracy - s.accuracy as accuracy_drop,
        least(
            r_1.tag_images{% for i in range(2, largest + 1) %},
            coalesce(r_{{ i }}.tag_images, r_1.tag_images){% endfor %}

        ) as rarest
    from tag_sets as s
    inner join classes as c on c.class_name = s.class_name
    inner join rarity as r_1 on r_1.class_name = s.class_name and r_1.name = s.tag_1
{% for i in range(2, largest + 1) %}
    left join rarity as r_{{ i }} on r_{{ i }}.class_name = s.class_name and r_{{ i }}.name = s.tag_{{ i }}
{% endfor %}
    where
        s.images >= {{ least_images }}
        and s.accuracy <= c.accuracy - {{ least_drop }} + 1e-9
        and s.tag_count <= {{ max_tags }}
        and s.necessity_margin >= case s.tag_count
{% for margin in necessity %}
            when {{ loop.index }} then {{ margin }}
{% endfor %}
        end - 1e-9
),

cell_modes as (
    select
        g.min_images as min_images,
        g.min_drop as min_drop,
        s.set_no as set_no,
        s.class_id as class_id,
{% if validated %}
        s.mode_id as mode_id,
        s.accuracy_drop as accuracy_drop,
{% endif %}
        s.tag_count as tag_count
    from cells as g
    inner join measured as s
        on s.images >= g.min_images
        and s.accuracy_drop >= g.min_drop - 1e-9
        and s.rarest >= g.tag_images
),

mode_tags as (
{% for i in range(1, max_tags + 1) %}
    {{ "" if loop.first else "union all " }}select s.set_no, s.class_id, n.tag_id, n.present
    from measured as s
    inner join tag_names as n on n.name = s.tag_{{ i }}
{% endfor %}
),

present_tags as (
    select set_no, class_id, sum(present) as tags
    from mode_tags
    group by set_no, class_id
),

-- The errors of a class are its first image numbers.
carrying as (
    select
        t.set_no as set_no,
        g.image_no as image_no
    from mode_tags as t
    inner join present_tags as p on p.set_no = t.set_no
    inner join classes as c on c.class_id = t.class_id
    inner join tagged as g
        on g.class_id = t.class_id and g.tag_id = t.tag_id and g.image_no < c.errors
    where t.present = 1
    group by t.set_no, g.image_no, p.tags
    having count(*) = p.tags
{% if max_absent %}

    union all

    -- Modes of only absent tags: every error of the class may be one of theirs.
    select
        p.set_no as set_no,
        o.image_no as image_no
    from present_tags as p
    inner join outcomes as o on o.class_id = p.class_id
    where p.tags = 0 and o.error = 1
{% endif %}
),

{% if max_absent %}
unwanted as (
    select
        t.set_no as set_no,
        g.image_no as image_no
    from mode_tags as t
    inner join tagged as g on g.class_id = t.class_id and g.tag_id = t.tag_id
    where t.present = 0
    group by t.set_no, g.image_no
),

mode_errors as (
    select i.set_no as set_no, i.image_no as image_no
    from carrying as i
    left join unwanted as x on x.set_no = i.set_no and x.image_no = i.image_no
    where x.image_no is null
),
{% else %}
mode_errors as (
    select set_no, image_no
    from carrying
),
{% endif %}

covered as (
    select min_images, min_drop, count(*) as errors
    from (
        select
            m.min_images as min_images,
            m.min_drop as min_drop,
            m.class_id as class_id,
            e.image_no as image_no
        from cell_modes as m
        inner join mode_errors as e on e.set_no = m.set_no
        group by m.min_images, m.min_drop, m.class_id, e.image_no
    ) as distinct_errors
    group by min_images, min_drop
),

counted as (
    select
        min_images,
        min_drop,
{% for size in range(1, largest + 1) %}
        cast(sum(case when tag_count = {{ size }} then 1 else 0 end) as bigint) as modes_{{ size }},
{% endfor %}
        count(*) as failure_modes
    from cell_modes
    group by min_images, min_drop
),

{% if validated %}
unseen_drops as (
    select
        m.min_images as min_images,
        m.min_drop as min_drop,
        m.accuracy_drop as found_drop,
        case when v.verdict <> 'undecided' then v.accuracy_drop end as unseen_drop,
        case when v.mode_id is null then 1 else 0 end as not_validated
    from cell_modes as m
    left join validations as v on v.mode_id = m.mode_id
),

unseen_means as (
    select
        min_images,
        min_drop,
        max(not_validated) as not_validated,
        count(unseen_drop) as decided,
        avg(case when unseen_drop is not null then found_drop end) as found_mean,
        avg(unseen_drop) as unseen_mean,
        max(case when unseen_drop is not null then found_drop end)
            - min(case when unseen_drop is not null then found_drop end) as found_range,
        max(unseen_drop) - min(unseen_drop) as unseen_range,
        avg(case when unseen_drop >= min_drop - 0.05 - 1e-9 then 1.0 when unseen_drop is not null then 0.0 end)
            as share_reached
    from unseen_drops
    group by min_images, min_drop
),

unseen_sums as (
    select
        d.min_images as min_images,
        d.min_drop as min_drop,
        sum((d.found_drop - a.found_mean) * (d.unseen_drop - a.unseen_mean)) as products,
        sum((d.found_drop - a.found_mean) * (d.found_drop - a.found_mean)) as found_squares,
        sum((d.unseen_drop - a.unseen_mean) * (d.unseen_drop - a.unseen_mean)) as unseen_squares
    from unseen_drops as d
    inner join unseen_means as a on a.min_images = d.min_images and a.min_drop = d.min_drop
    where d.unseen_drop is not null
    group by d.min_images, d.min_drop
),

unseen as (
    select
        a.min_images as min_images,
        a.min_drop as min_drop,
        a.decided as decided,
        -- Drops that differ only by rounding have no correlation.
        case
            when a.found_range > 1e-9 and a.unseen_range > 1e-9
                then s.products / (sqrt(s.found_squares) * sqrt(s.unseen_squares))
        end as correlation,
        cast(a.share_reached as double) as share_reached
    from unseen_means as a
    left join unseen_sums as s on s.min_images = a.min_images and s.min_drop = a.min_drop
    where a.not_validated = 0
),
{% endif %}

totals as (
    select cast(sum(errors) as double) as errors
    from classes
)

select
    g.min_images as min_images,
    g.min_drop as min_drop,
    coalesce(n.failure_modes, 0) as failure_modes,
{% for size in range(1, largest + 1) %}
    coalesce(n.modes_{{ size }}, 0) as modes_{{ size }},
{% endfor %}
    case when t.errors > 0 then coalesce(e.errors, 0) / t.errors end as error_coverage,
{% if validated %}
    u.decided as decided,
    u.correlation as correlation,
    u.share_reached as share_reached
{% else %}
    cast(null as bigint) as decided,
    cast(null as double) as correlation,
    cast(null as double) as share_reached
{% endif %}
from cells as g
cross join totals as t
left join counted as n on n.min_images = g.min_images and n.min_drop = g.min_drop
left join covered as e on e.min_images = g.min_images and e.min_drop = g.min_drop
{% if validated %}
left join unseen as u on u.min_images = g.min_images and u.min_drop = g.min_drop
{% endif %}
order by g.min_images, g.min_drop
