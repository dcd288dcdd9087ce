"""Nights that bring new images, and a run that grew beside one of everything."""

import math

import polars as pl

import prime_sql as ps
from tests.generated import frames

# What is stored of a run, but for the row that says when and how it was made.
STORED = (
    "classes",
    "outcomes",
    "vocabulary",
    "tagged",
    "rare_tags",
    "tag_sets",
    "failure_modes",
    "failure_mode_tags",
    "failure_mode_chance",
)


def stored(run):
    """The rows of each stored table of a run, sorted, without its number."""
    return {
        name: sorted(
            run.backend.raw_sql(
                f"select * exclude (run_id) from prime.{name} where run_id = {run.run_id}"
            ).fetchall(),
            key=repr,
        )
        for name in STORED
    }


class Everything:
    """All images as they are after some nights, and the tables of each night."""

    def __init__(self):
        self.predictions = {}  # image: its (label, prediction), one for each class it is in
        self.tags = {}  # image: its tags

    def night(self, predictions, tags, removed=()):
        for image in removed:
            self.predictions.pop(image, None)
        self.predictions |= predictions
        self.tags |= tags
        self.tags = {i: names for i, names in self.tags.items() if i in self.predictions}
        return (*rows_of(predictions, tags, blank=True), listed(removed))

    def search(self, **options):
        return ps.search(*rows_of(self.predictions, self.tags), **options)


def rows_of(predictions, tags, *, blank=False):
    """The two tables; where an image has no tag, a blank one says so."""
    return frames(
        [(image, *pair) for image, pairs in predictions.items() for pair in pairs],
        [(i, tag) for i, names in tags.items() for tag in names or ([" "] if blank else [])],
    )


def listed(images):
    return pl.DataFrame({"image_id": list(images)}, schema={"image_id": pl.String})


def assert_equal(appended, full):
    appended, full = stored(appended), stored(full)
    for name in STORED:
        assert len(appended[name]) == len(full[name]), name
        for row, expected in zip(appended[name], full[name], strict=True):
            # An engine adds up the terms of a p-value in any order.
            assert all(
                math.isclose(a, b, rel_tol=1e-12) if isinstance(a, float) and b else a == b
                for a, b in zip(row, expected, strict=True)
            ), (name, row, expected)


SMALL = {"min_images": 4, "min_drop": 0.2}


def images(prefix, number, tags="", *, label="ape", errors=0):
    """Predictions and tags of so many images, the first ones of which are errors."""
    predictions = {
        f"{prefix}{n:02}": [(label, "not" if n < errors else label)] for n in range(number)
    }
    return predictions, {image: {*tags.split()} for image in predictions}


def joined(*groups):
    predictions, tags = {}, {}
    for each in groups:
        predictions |= each[0]
        tags |= each[1]
    return predictions, tags


def grown(first, *nights, **chosen):
    """Search the first night and append the others; return the last run, equal to a full search."""
    chosen = {**SMALL, **chosen}
    everything = Everything()
    run = ps.search(*everything.night(*first)[:2], **chosen)
    for each in nights:
        *tables, gone = everything.night(*each)
        run = run.append(*tables, remove=gone)
    with everything.search(**chosen) as full:
        assert_equal(run, full)
    return run


def modes(run):
    return set(run.failure_modes.to_polars()["tags"])


def anew(run):
    """How many classes, and how many tag sets beside, were counted from their images."""
    return run.row_counts["recounted_classes"], run.row_counts["recounted_tag_sets"]


FIRST = joined(images("a", 5, "hang", errors=5), images("b", 9, "tree"))
