-- How similar is each image of the pool to the tags to carry, according to a CLIP model? For DuckDB,
-- whose vectors have a fixed length.
-- reads: wanted, and the two tables of embeddings
-- parameter embeddings: the quoted name of a table with image_id, model and embedding
-- parameter texts: the quoted name of a table with text, model and embedding
-- parameter model: the model
-- parameter dimensions: numbers in one embedding
-- returns: image_id, similarity (cosine, the mean over a tag's prompts, then over the tags); images
--    with an embedding of zeros left out
with images_by_vector as (
    select
        cast(image_id as varchar) as image_id,
        cast(embedding as double[{{ dimensions }}]) as embedding
    from {{ embeddings }}
    where
        model = {{ model | literal }}
        -- For DuckDB, a vector of zeros is as far as possible from any other.
        and array_inner_product(embedding, embedding) > 0
),

texts_by_vector as (
    select
        x.text as tag,
        cast(x.embedding as double[{{ dimensions }}]) as embedding
    from {{ texts }} as x
    inner join wanted as w on w.tag = x.text and w.present = 1
    where x.model = {{ model | literal }}
),

tag_similarities as (
    select
        i.image_id as image_id,
        t.tag as tag,
        avg(array_cosine_similarity(i.embedding, t.embedding)) as similarity
    from images_by_vector as i
    cross join texts_by_vector as t
    group by i.image_id, t.tag
)

select
    image_id,
    -- The order of a sum affects its last digits, and equal images must tie.
    round(avg(similarity), 12) as similarity
from tag_similarities
group by image_id
