-- Which failure modes are near-duplicates of a better one, and which one represents them?
-- reads: failure_modes, mode_images, with by = 'p' failure_mode_chance
-- uses: mode_images
-- asked as: families
-- parameter overlap = 0.9: a near-duplicate shares this much of its images with a better mode
-- parameter by = 'excess_errors': what makes a mode better: excess_errors, drop, p or images
-- returns: place (in the order of by), class_name, tags, hidden (whether it is a near-duplicate), share
--    (of its images that the representative has), representative_tags, images, errors, accuracy,
--    accuracy_drop, excess_errors, mode_id, hidden_by (the best mode of its class that has this much of
--    its images), representative_id (itself, or where hidden_by leads to, from mode to mode until one
--    that is not hidden); in the order of place
{% set order = {
    "excess_errors": "m.excess_errors desc",
    "drop": "m.accuracy_drop desc",
    "p": "c.p_value",
    "images": "m.images desc",
} %}
with recursive ranked as (
    select
        m.mode_id as mode_id,
        m.class_name as class_name,
        m.tags as tags,
        m.images as images,
        m.errors as errors,
        m.accuracy as accuracy,
        m.accuracy_drop as accuracy_drop,
        m.excess_errors as excess_errors,
        -- Comparisons are inclusive, however an engine rounds.
        cast(ceil(m.images * {{ overlap | number }} - 1e-9) as bigint) as enough,
        row_number() over (order by {{ order[by] }}, m.class_name, m.tags, m.mode_id) as place
    from failure_modes as m
{% if by == "p" %}
    inner join failure_mode_chance as c on c.mode_id = m.mode_id
{% endif %}
),

members as (
    select
        r.place as place,
        r.images as images,
        i.class_id as class_id,
        i.image_no as image_no
    from mode_images as i
    inner join ranked as r on r.mode_id = i.mode_id
),

-- Synonyms give many modes with the very same images. The best of them is compared with others, and
-- the rest only with that one: those with the same sums, which usually are the same images.
sums as (
    select
        place,
        class_id,
        images,
        sum(cast(image_no as bigint)) as total,
        sum(cast(image_no as bigint) * image_no) as squares
    from members
    group by place, class_id, images
),

firsts as (
    select
        place,
        min(place) over (partition by class_id, images, total, squares) as first_place
    from sums
),

copies as (
    select
        f.place as place,
        f.first_place as first_place
    from firsts as f
    inner join members as a on a.place = f.place
    -- Not a join: an engine may begin by joining all members with each other.
    where
        f.first_place < f.place
        and exists (
            select 1
            from members as b
            where
                b.place = f.first_place
                and b.class_id = a.class_id
                and b.image_no = a.image_no
        )
    group by f.place, f.first_place, a.images
    having count(*) = a.images
),

originals as (
    select
        m.place as place,
        m.images as images,
        m.class_id as class_id,
        m.image_no as image_no
    from members as m
    left join copies as c on c.place = m.place
    where c.place is null
),

holders as (
    select
        class_id,
        image_no,
        count(*) as modes
    from originals
    group by class_id, image_no
),

numbered as (
    select
        m.place as place,
        m.class_id as class_id,
        m.image_no as image_no,
        row_number() over (partition by m.place order by h.modes, m.image_no) as number
    from originals as m
    inner join holders as h on h.class_id = m.class_id and h.image_no = m.image_no
),

-- A better mode lacks at most `images - enough` of the images, so of any twice as many plus one
-- it has more than half. Looking at that many, those that the fewest modes have, rules out nearly
-- all pairs.
few as (
    select
        n.place as place,
        n.class_id as class_id,
        n.image_no as image_no,
        r.enough as enough
    from numbered as n
    inner join ranked as r on r.place = n.place
    where n.number <= 2 * (r.images - r.enough) + 1
),

likely as (
    select
        f.place as place,
        m.place as better
    from few as f
    inner join originals as m
        on m.class_id = f.class_id
        and m.image_no = f.image_no
        and m.place < f.place
        and m.images >= f.enough
    inner join ranked as r on r.place = f.place
    group by f.place, m.place, r.images, r.enough
    having
        count(*) >= case
            when 2 * (r.images - r.enough) + 1 < r.images then r.images - r.enough + 1
            else r.enough
        end
),

near as (
    select
        l.place as place,
        l.better as better
    from likely as l
    inner join ranked as r on r.place = l.place
    inner join originals as a on a.place = l.place
    where exists (
        select 1
        from originals as b
        where b.place = l.better and b.class_id = a.class_id and b.image_no = a.image_no
    )
    group by l.place, l.better, r.enough
    having count(*) >= r.enough
),

original_duplicates as (
    select
        place,
        min(better) as hidden_by
    from near
    group by place
),

near_duplicates as (
    select
        place,
        hidden_by
    from original_duplicates

    union all

    select
        c.place as place,
        coalesce(d.hidden_by, c.first_place) as hidden_by
    from copies as c
    left join original_duplicates as d on d.place = c.first_place
),

represented as (
    select
        r.place as place,
        r.place as representative
    from ranked as r
    left join near_duplicates as d on d.place = r.place
    where d.place is null

    union all

    select
        d.place as place,
        f.representative as representative
    from represented as f
    inner join near_duplicates as d on d.hidden_by = f.place
),

shared as (
    select
        f.place as place,
        count(*) as images
    from represented as f
    inner join members as a on a.place = f.place
    where
        f.place <> f.representative
        and exists (
            select 1
            from members as b
            where
                b.place = f.representative
                and b.class_id = a.class_id
                and b.image_no = a.image_no
        )
    group by f.place
)

select
    m.place as place,
    m.class_name as class_name,
    m.tags as tags,
    d.place is not null as hidden,
    case
        when f.place = f.representative then 1.0
        else cast(coalesce(s.images, 0) as double) / m.images
    end as share,
    r.tags as representative_tags,
    m.images as images,
    m.errors as errors,
    m.accuracy as accuracy,
    m.accuracy_drop as accuracy_drop,
    m.excess_errors as excess_errors,
    m.mode_id as mode_id,
    h.mode_id as hidden_by,
    r.mode_id as representative_id
from represented as f
inner join ranked as m on m.place = f.place
inner join ranked as r on r.place = f.representative
left join near_duplicates as d on d.place = f.place
left join ranked as h on h.place = d.hidden_by
left join shared as s on s.place = f.place
order by m.place
