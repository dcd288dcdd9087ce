-- Of which listed images does a package for their format lack?
-- reads: image_problems, listed
-- returns: reason, images, for each format
select problems.reason, count(*) as images
from image_problems as problems
inner join listed on listed.image_id = problems.image_id
where problems.step = 'images' and problems.reason like '%: pip install %'
group by problems.reason
order by images desc, problems.reason
