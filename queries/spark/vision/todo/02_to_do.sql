-- Which images has the model not done yet?
-- reads: prime_sql_images (image_id, label, source: a URI or bytes)
-- parameter table: where its results go, or for a tagger, where it notes the images that it saw
-- parameter model_column: the column there that names the model
-- parameter model: the model
-- parameter replace: whether to do all of them again
-- parameter in_bytes: whether the sources are bytes
-- returns: image_id, label, uri (null for bytes and data URIs), has_source, source
select
    images.image_id,
    images.label,
{% if in_bytes %}
    cast(null as string) as uri,
{% else %}
    case when images.source not like 'data:%' then images.source end as uri,
{% endif %}
    images.source is not null as has_source,
    images.source
from prime_sql_images as images
{% if not replace %}
where not exists (
    select 1
    from {{ table | identifier }} as done
    where done.image_id = images.image_id and done.{{ model_column | identifier }} = {{ model | literal }}
)
{% endif %}
