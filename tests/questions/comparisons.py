"""Runs to compare, made of a few counts."""

import prime_sql as ps
from tests.generated import frames


def search(*groups, **changes):
    """Search images given as (label, tags, images, errors)."""
    predictions, tags = [], []
    for label, names, images, errors in groups:
        for number in range(images):
            image = f"i{len(predictions)}"
            predictions.append((image, label, "other" if number < errors else label))
            tags += [(image, tag) for tag in names.split()]
    chosen = {"min_images": 20, "min_drop": 0.32, "max_tags": 2, **changes}
    return ps.search(*frames(predictions, tags), **chosen)


def ape(images, errors, rest=None, **changes):
    """One class, in which ``hang`` has so many images and errors, and the others have none."""
    return search(
        ("ape", "hang", images, errors),
        ("ape", "sky", 200 - images if rest is None else rest, 0),
        **changes,
    )


def statuses(a, b):
    found = ps.compare(a, b).to_polars()
    return {(row["class_name"], row["tags"]): row["status"] for row in found.to_dicts()}


FIXED, PERSISTING, UNDECIDED = "fixed", "persisting", "undecided"

MIRROR = {"new": "fixed", "fixed": "new"}
