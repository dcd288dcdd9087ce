"""Images that could be labelled, and which of them fit a failure mode."""

import polars as pl
import pytest

quietly = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

PICKED = ["place", "image_id", "uri", "matched_by", "carried_tags", "similarity"]


def carried_by(rows):
    found = {}
    for image_id, tag in rows:
        found.setdefault(image_id, set()).add(tag)
    return found


def wanted_by(run):
    """The present and the absent tags of each mode."""
    found = {mode_id: (set(), set()) for mode_id in run.failure_modes.to_polars()["mode_id"]}
    for row in run.failure_mode_tags.to_polars().to_dicts():
        found[row["mode_id"]][0 if row["present"] else 1].add(row["tag"])
    return found


def fits(tags, wanted):
    return wanted[0] <= tags and not wanted[1] & tags


def mode_id(run, tags="black + hang"):
    return run.failure_modes.to_polars().filter(pl.col("tags") == tags)["mode_id"].item()


def pool_of(**tags):
    rows = [(image, tag) for image, names in tags.items() for tag in names.split()]
    return pl.DataFrame(rows, schema=["image_id", "tag"], orient="row")


POOL = pool_of(a="black hang", b="black", c="hang", d="tree hang black", e="sofa")


def ids(relation):
    return relation.to_polars()["image_id"].to_list()
