-- Which of the wanted tags does no image of the pool carry?
-- reads: wanted, tags
-- returns: tag
select w.tag as tag
from wanted as w
left join (select tag from tags group by tag) as t on t.tag = w.tag
where t.tag is null
order by w.tag
