-- Does every row have an image, and every tag a score?
-- parameter table: rows of images: image_id, and tag and score or caption
-- parameter scored: whether they have scores
-- returns: one row: all_rows, no_id (rows without image_id), no_score (tags whose score is null or not a number)
select
    count(*) as all_rows,
    count(*) - count(nullif(image_id, '')) as no_id,
{% if scored %}
    coalesce(sum(case when tag <> '' and (score is null or isnan(score)) then 1 else 0 end), 0) as no_score
{% else %}
    0 as no_score
{% endif %}
from {{ table | identifier }}
