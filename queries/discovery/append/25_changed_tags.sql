-- Which of the passing tags does each changed image carry, and which of the absent ones does it lack?
-- reads: changes, change_tags, vocabulary, passing_1
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag; absent tags come after it
-- returns: class_id, tag_1, change_no, sign, error
with carried_tags as (
    select
        c.change_no as change_no,
        c.class_id as class_id,
        v.tag_id as tag_id,
        c.sign as sign,
        c.error as error
    from change_tags as c
    inner join vocabulary as v on v.known_id = c.tag_id
)

select
    t.class_id as class_id,
    p.tag_1 as tag_1,
    t.change_no as change_no,
    t.sign as sign,
    t.error as error
from carried_tags as t
inner join passing_1 as p on p.class_id = t.class_id and p.tag_1 = t.tag_id
{% if max_absent %}

union all

select
    c.class_id as class_id,
    p.tag_1 as tag_1,
    c.change_no as change_no,
    c.sign as sign,
    c.error as error
from changes as c
inner join passing_1 as p on p.class_id = c.class_id and p.tag_1 > {{ last_tag }}
left join carried_tags as t on t.change_no = c.change_no and t.tag_id = p.tag_1 - {{ last_tag }}
where t.change_no is null
{% endif %}
