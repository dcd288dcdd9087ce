-- Which image of which class is an error now?
-- reads: prime.outcomes, classes (of the session)
-- parameter schema: the quoted schema of the results
-- parameter run_id: the run that counted
-- parameter errors: which images are errors now, see classes
-- parameter seed: of the shuffle, as text; none without a shuffle
-- returns: class_id, stored_no (the stored image_no), image_no (errors first), error
with numbered as (
    select
        class_id,
        image_no as stored_no,
        row_number() over (
            partition by class_id
            order by
{% if errors == 'shuffled' %}
                -- A hash is as random as it needs to be, and the same on every engine.
                md5({{ seed | literal }} || ' ' || cast(class_id as varchar) || ' ' || cast(image_no as varchar)),
{% elif errors == 'flipped' %}
                error,
{% endif %}
                image_no
        ) - 1 as image_no
    from {{ schema }}.outcomes
    where run_id = {{ run_id }}
)

select
    n.class_id as class_id,
    n.stored_no as stored_no,
    cast(n.image_no as integer) as image_no,
    case when n.image_no < c.errors then 1 else 0 end as error
from numbered as n
inner join classes as c on c.class_id = n.class_id
