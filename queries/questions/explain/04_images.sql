-- Which images show a failure mode: those that the model gets wrong, and those that it gets right?
-- reads: failure_mode_images, and the table of images where the database has one
-- parameter mode_id: the mode
-- parameter examples: how many wrong ones, and how many right ones
-- parameter images = None: the quoted name of a table with image_id and uri
-- returns: image_id, label, prediction, error (1 wrong, 0 right), uri (null where unknown); errors
--    first
with shuffled as (
    -- By a hash: neighbours in the order of names are often near-duplicates, but the choice must be
    -- the same every time.
    select
        image_id,
        label,
        prediction,
        error,
        row_number() over (partition by error order by md5(image_id), image_id) as place
    from failure_mode_images
    where mode_id = {{ mode_id | literal }}
){% if images is not none %},

uris as (
    select
        cast(image_id as varchar) as image_id,
        min(cast(uri as varchar)) as uri
    from {{ images }}
    group by cast(image_id as varchar)
){% endif %}


select
    s.image_id as image_id,
    s.label as label,
    s.prediction as prediction,
    s.error as error,
    {{ "cast(null as varchar)" if images is none else "u.uri" }} as uri
from shuffled as s
{% if images is not none %}
left join uris as u on u.image_id = s.image_id
{% endif %}
where s.place <= {{ examples }}
order by s.error desc, s.place
