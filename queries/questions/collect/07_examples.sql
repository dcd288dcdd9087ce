-- Which images show these modes: hard ones, which the model gets wrong, and easy ones?
-- reads: detailed_images, and the table of images where the database has one
-- parameter hard: how many wrong ones of each mode
-- parameter easy: how many right ones of each mode
-- parameter images = None: the quoted name of a table with image_id and uri
-- returns: card, place (from 1), image_id, label, prediction, error (1 wrong, 0 right), uri (null where
--    unknown); errors first. The choice looks random but is the same every time.
with shuffled as (
    select
        card,
        image_id,
        label,
        prediction,
        error,
        row_number() over (partition by card, error order by md5(image_id), image_id) as place
    from detailed_images
),

chosen as (
    select *
    from shuffled
    where place <= case when error = 1 then {{ hard }} else {{ easy }} end
){% if images is not none %},

uris as (
    select
        cast(u.image_id as varchar) as image_id,
        min(cast(u.uri as varchar)) as uri
    from {{ images }} as u
    where cast(u.image_id as varchar) in (select image_id from chosen)
    group by cast(u.image_id as varchar)
){% endif %}


select
    s.card as card,
    s.place as place,
    s.image_id as image_id,
    s.label as label,
    s.prediction as prediction,
    s.error as error,
    {{ "cast(null as varchar)" if images is none else "u.uri" }} as uri
from chosen as s
{% if images is not none %}
left join uris as u on u.image_id = s.image_id
{% endif %}
order by s.card, s.error desc, s.place
