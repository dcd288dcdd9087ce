-- Which models embedded images of the pool, and which of the tags to carry did they embed as texts?
-- reads: wanted, and the two tables of embeddings
-- parameter embeddings: the quoted name of a table with image_id, model and embedding
-- parameter texts: the quoted name of a table with text, model and embedding
-- returns: model, tag (null if none of them is among its texts)
select
    m.model as model,
    t.tag as tag
from (select model from {{ embeddings }} group by model) as m
left join (
    select
        x.model as model,
        w.tag as tag
    from {{ texts }} as x
    inner join wanted as w on w.tag = x.text and w.present = 1
    group by x.model, w.tag
) as t on t.model = m.model
order by m.model, t.tag
