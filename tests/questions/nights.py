"""Nights made by hand: tables of one job, night by night."""

import prime_sql as ps
from tests.generated import frames

CHOSEN = {"min_images": 20, "min_drop": 0.32, "max_tags": 2, "min_tag_images": None}


def night(*groups):
    """Predictions and tags of images given as (label, tags, images, errors)."""
    predictions, tags = [], []
    for label, names, images, errors in groups:
        for number in range(images):
            image = f"i{len(predictions)}"
            predictions.append((image, label, "other" if number < errors else label))
            tags += [(image, tag) for tag in names.split()]
    return predictions, tags


def store(nights, into, **changes):
    for each in nights:
        ps.search(*frames(*each), into=into, **{**CHOSEN, **changes}).close()


# In ape, "hang" with 16 of 40 errors has a drop of exactly 0.32.
NIGHTS = [
    night(
        ("ape", "hang", 40, 16),
        ("ape", "sky", 160, 0),
        ("bee", "wing", 30, 28),
        ("bee", "sky", 170, 0),
    ),
    # By a hair no failure mode; bee is missing; in cat there is one.
    night(
        ("ape", "hang", 40, 15),
        ("ape", "sky", 160, 0),
        ("cat", "sofa", 40, 20),
        ("cat", "sky", 160, 0),
    ),
    # New in ape: "tree"; fixed in cat; bee is back, with a tag that has another name.
    night(
        *(("ape", "hang", 40, 20), ("ape", "tree", 40, 20), ("ape", "sky", 320, 0)),
        *(("cat", "sofa", 40, 1), ("cat", "sky", 160, 0)),
        *(("bee", "wings", 30, 28), ("bee", "sky", 170, 0)),
    ),
    # The tag has its old name; "tree" is too rare.
    night(
        *(("ape", "hang", 40, 24), ("ape", "tree", 19, 0), ("ape", "sky", 341, 0)),
        *(("cat", "sofa", 40, 0), ("cat", "sky", 160, 0)),
        *(("bee", "wing", 30, 28), ("bee", "sky", 170, 0)),
    ),
]
