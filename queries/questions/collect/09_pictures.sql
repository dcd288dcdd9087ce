-- Which of the example images does the database hold as files?
-- reads: examples, and the table of pictures
-- parameter pictures: the quoted name of a table with image_id and a column of bytes
-- parameter bytes: the quoted name of that column
-- returns: image_id, picture (the bytes of its file)
select
    cast(p.image_id as varchar) as image_id,
    min(p.{{ bytes }}) as picture
from {{ pictures }} as p
where
    p.{{ bytes }} is not null
    and cast(p.image_id as varchar) in (select e.image_id from examples as e)
group by cast(p.image_id as varchar)
order by cast(p.image_id as varchar)
