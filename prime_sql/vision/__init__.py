"""Images in: embeddings, tags and predictions as steps over tables (extra: ``vision``).

``load_images`` → ``embed`` · ``tag_clip`` ``tag_ram`` ``tag_captions`` ``tag_table`` · ``predict``.
`register` makes a model an SQL function. `prime_sql.vision.spark` does the same in Spark, for a
model described by `specify`. torch is not imported before a model is loaded.
"""

from prime_sql.vision.clip import Clip
from prime_sql.vision.embed import embed, embed_texts
from prime_sql.vision.images import load_images
from prime_sql.vision.network import Model, Place
from prime_sql.vision.predict import predict
from prime_sql.vision.register import register
from prime_sql.vision.specification import Specification, specify
from prime_sql.vision.steps import Done, ImageProgress
from prime_sql.vision.tag import tag_clip, tag_ram
from prime_sql.vision.tag_tables import tag_captions, tag_table

__all__ = [
    "Clip",
    "Done",
    "ImageProgress",
    "Model",
    "Place",
    "Specification",
    "embed",
    "embed_texts",
    "load_images",
    "predict",
    "register",
    "specify",
    "tag_captions",
    "tag_clip",
    "tag_ram",
    "tag_table",
]
