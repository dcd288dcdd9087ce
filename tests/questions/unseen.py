"""Small tables that are searched, and others that the search has not seen."""

import polars as pl

from tests import tables as data

VALIDATED = [
    "mode_id",
    "class_name",
    "tags",
    "tag_count",
    "images",
    "accuracy",
    "accuracy_drop",
    "unseen_images",
    "unseen_errors",
    "unseen_accuracy",
    "unseen_accuracy_low",
    "unseen_accuracy_high",
    "unseen_class_images",
    "unseen_class_errors",
    "unseen_class_accuracy",
    "unseen_accuracy_drop",
    "verdict",
]


def tables(groups, prefix="i"):
    """Predictions and tags of (label, tags, images, errors) groups."""
    predictions, tags = [], []
    for label, names, images, errors in groups:
        for number in range(images):
            image_id = f"{prefix}{len(predictions):04}"
            guess = "other" if number < errors else label
            predictions.append({"image_id": image_id, "label": label, "prediction": guess})
            tags.extend({"image_id": image_id, "tag": tag} for tag in names.split())
    schema = {"image_id": pl.String, "tag": pl.String}
    return pl.DataFrame(predictions), pl.DataFrame(tags, schema=schema)


# ape fails on "hang": 1 of 10 right against 70 %. bee is fine.
SEEN = [("ape", "hang", 10, 9), ("ape", "sit", 30, 3), ("bee", "hang", 10, 0)]

OPTIONS = {"min_images": 10, "min_drop": 0.3}


def modes(validation):
    return validation.modes.to_polars().to_dicts()


def halves(**columns):
    """The tiny tables of `data` twice, with a column that tells the copies apart."""
    first = data.frame(data.PREDICTIONS).with_columns(half=pl.lit("a"))
    second = first.with_columns(pl.lit("b").alias("half"), image_id="again-" + pl.col("image_id"))
    tags = data.frame(data.TAGS)
    again = tags.with_columns(image_id="again-" + pl.col("image_id"))
    # Of the copy some errors are gone.
    second = second.with_columns(
        prediction=pl.when(pl.col("label") == "bear")
        .then(pl.col("label"))
        .otherwise(pl.col("prediction"))
    )
    return pl.concat([first, second]).with_columns(**columns), pl.concat([tags, again])


SPLIT = {"split": "half", "find": "a", "check": "b"}
