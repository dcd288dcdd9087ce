"""Tables that no search can use, and what is said of them."""

from __future__ import annotations

from typing import Any

import ibis
import pandas as pd
import polars as pl

from tests.tables import PREDICTIONS, TAGS, frame, wide

P = frame(PREDICTIONS)

T = frame(TAGS)

WIDE = frame(wide())


def null(name: str) -> pl.DataFrame:
    """The predictions with the column null in the last three rows."""
    place = pl.int_range(pl.len())
    return P.with_columns(pl.when(place < len(PREDICTIONS) - 3).then(pl.col(name)).alias(name))


TABLES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "misspelt label": (
        {"predictions": P.rename({"label": "lable"})},
        ["predictions has no column 'label'. Did you mean 'lable'? It has: image_id, lable",
         "--label"],
    ),
    "misspelt tag": (
        {"tags": T.rename({"tag": "tga"})},
        ["tags has no column 'tag'. Did you mean 'tga'? It has: image_id, tga, score", "--tag"],
    ),
    "upper case": (
        {"predictions": P.rename({"image_id": "Image_ID"})},
        ["predictions has no column 'image_id'. Did you mean 'Image_ID'?", "--image-id"],
    ),
    "misspelt option": (
        {"prediction": "predicted"},
        ["predictions has no column 'predicted'. Did you mean 'prediction'?", "--prediction"],
    ),
    "misspelt group": (
        {"group_by": "label,regoin"},
        ["predictions has no column 'regoin'. Did you mean 'region'?", "--group-by"],
    ),
    "no score": (
        {"tags": T.drop("score"), "min_score": 0.5},
        ["tags has no column 'score'. It has: image_id, tag.", "--score"],
    ),
    "no label, though an error is given": (
        {"predictions": P.drop("label", "prediction"), "error": "region = 'north'"},
        ["predictions has no column 'label'"],
    ),
    "many columns": (
        {"predictions": pl.DataFrame({"x" * 100: [1], **{f"c{n}": [1] for n in range(50)}})},
        ["It has: " + "x" * 59 + "…, c0, c1", " and 39 more. Name"],
    ),
    "null image_id": (
        {"predictions": null("image_id")},
        ["predictions.image_id is null in 3 of 45 rows", "class 'cat'", "where"],
    ),
    "null label": (
        {"predictions": null("label")},
        ["predictions.label is null in 3 of 45 rows, for example image 'img-042'; fill it",
         "where"],
    ),
    "null prediction": (
        {"predictions": null("prediction").rename({"prediction": "guess"}), "prediction": "guess"},
        ["predictions.guess is null in 3 of 45 rows, for example image 'img-042'; fill it"],
    ),
    "no label at all": (
        {"predictions": P.with_columns(label=None)},
        ["predictions.label is null in 45 of 45 rows, for example image 'img-000'"],
    ),
    "null group": (
        {"predictions": null("region"), "group_by": "region"},
        ["predictions.region is null in 3 of 45 rows, for example image 'img-042'; fill it"],
    ),
    "null in one of two groups": (
        {"predictions": null("region"), "group_by": "label,region"},
        ["predictions.label or predictions.region is null in 3 of 45 rows", "'img-042'"],
    ),
    "null condition": (
        {"predictions": null("region"), "error": "region = 'north'"},
        ["predictions: the error condition \"region = 'north'\" is neither true nor false",
         "in 3 of 45 rows, for example image 'img-042'", "coalesce"],
    ),
    "duplicates": (
        {"predictions": pl.concat([P, P[:2], P[:1]])},
        ["predictions.image_id is not unique: 2 images", "(3 of 48 rows too many)",
         "image 'img-000' 3 times in class 'ape'", "remove the copies", "where", "group_by"],
    ),
    "duplicates in one group": (
        {"predictions": pl.concat([P, P[:1].with_columns(label=pl.lit("cat"))]),
         "group_by": "region"},
        ["predictions.image_id is not unique: 1 images are more",
         "image 'img-000' 2 times in class 'south'"],
    ),
    "1 against '1'": (
        {"predictions": P.with_columns(label=1, prediction=pl.lit("1"))},
        ["predictions.label is int", "predictions.prediction is string, in all 45 rows",
         "label 1 against prediction '1'", "same type"],
    ),
    "True against 1": (
        {"predictions": P.with_columns(label=True, prediction=1)},
        ["predictions.label is boolean", "label True against prediction 1", "same type"],
    ),
    "no rows": ({"predictions": P[:0]}, ["predictions (polars DataFrame) has no rows"]),
    "no rows left": (
        {"where": "split = 'nope'"},
        ["predictions (polars DataFrame) has no rows where split = 'nope'"],
    ),
    "no columns": ({"predictions": pl.DataFrame()}, ["cannot read predictions (polars DataFrame)"]),
    "exchanged": (
        {"predictions": T, "tags": P},
        ["no columns 'label' and 'prediction', but tags has them", "the predictions come first"],
    ),
    "tags with the columns of predictions": (
        {
            "predictions": P.rename({"label": "truth", "prediction": "guess"}),
            "tags": T.join(P, on="image_id"),
        },
        ["predictions has no column 'label'. It has: ", "Name the right one with --label"],
    ),
    "no image in common": (
        {"tags": T.with_columns(image_id="x" + pl.col("image_id"))},
        ["tags and predictions have no image_id in common: 62 tag rows, for example",
         "'ximg-000'", "45 images, for example 'img-000'", "--image-id"],
    ),
    "number as image_id, as pandas makes it where one is missing": (
        {"predictions": pd.DataFrame(PREDICTIONS).assign(image_id=range(45)),
         "tags": pd.DataFrame(TAGS[:3]).assign(image_id=[1, 2, None])},
        ["no image_id in common: 2 tag rows, for example image '1.0'", "for example '0'",
          "the same way"],
    ),
    "tags are floats": (
        {"tag": "score"},
        ["tags.score is float64 in 62 rows, for example 0.9", "a tag is text", "wide"],
    ),
    "score is text": (
        {"tags": T.cast({"score": pl.String}), "min_score": 0.5},
        ["tags.score is string in 62 rows, for example '0.9'; min_score needs", "numbers"],
    ),
    "wide with words": (
        {"tags": WIDE.with_columns(note=pl.lit("good")), "wide": True},
        ["tags.note is string in 45 rows, for example 'good'; with wide", "0/1: leave"],
    ),
    "wide with -1 and 1": (
        {"tags": frame(wide(yes=1, no=-1)), "wide": True},
        ["tags.black holds values other than 0 and 1, or true and false, in 37 rows, for example",
         "'-1' for image 'img-008'", "--present"],
    ),
    "wide with scores": (
        {"tags": frame(wide(yes=0.7, no=0.0)), "wide": True},
        ["tags.black holds values other than 0 and 1, or true and false, in 8 rows, for example",
         "'0.7' for image 'img-000'", "value > 0"],
    ),
    "wide without tags": (
        {"tags": WIDE[["image_id"]], "wide": True},
        ["tags has no column besides"],
    ),
    "wide, and nobody said so": (
        {"tags": WIDE},
        ["tags has no column 'tag'. It has: image_id, black, hang"],
    ),
    "names that are not text": (
        {"tags": pd.DataFrame(wide()).rename(columns={"snow": 7}), "wide": True},
        ["tags has a column called 7, a int; column names must be text: rename it"],
    ),
    "one column of two types": (
        {"predictions": pd.DataFrame(PREDICTIONS).assign(label=[1, "a", 2] * 15)},
        ["cannot read predictions (pandas DataFrame)", "label", "give every column one type"],
    ),
    "two columns of one name": (
        {"predictions": pd.concat([pd.DataFrame(PREDICTIONS)] * 2, axis=1)},
        ["predictions has 2 columns of one name: 'image_id' and 'image_id': rename one"],
    ),
    "a lazy frame that fails": (
        {"predictions": P.lazy().with_columns(pl.col("label").cast(int))},
        ["cannot read predictions (polars LazyFrame)", "conversion from `str` to `i64` failed",
         "'label'"],
    ),
    "an Ibis table without an engine": (
        {"tags": ibis.table({"image_id": "string", "tag": "string"}, name="t")},
        ["cannot read tags (ibis table t)", "unbound"],
    ),
}  # fmt: skip
