"""What the killed processes work on: the input, and what runs over it hold by brute force."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from prime_sql.engine.schema import names
from tests import oracle

OPTIONS: dict[str, Any] = {"max_tags": 2, "min_images": 40, "min_drop": 0.3, "job": "nightly"}
UNSEEN = {"a": 1, "b": 2}  # seeds
TAGS = [f"tag {n:02}" for n in range(24)]
CLASSES = [f"class {n}" for n in range(8)]


def tables(images: int, seed: int = 0, first: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return predictions and tags of so many images, some nine tags each, with planted failures."""
    random_ = np.random.default_rng([seed, images])
    label = random_.integers(len(CLASSES), size=images)
    carried = random_.random((images, len(TAGS))) < 0.38
    wrong = random_.random(images) < np.where(
        carried[np.arange(images), label] & carried[np.arange(images), label + 8], 0.75, 0.08
    )
    image_id = pl.Series([f"image {first + n:06}" for n in range(images)])
    predictions = pl.DataFrame(
        {
            "image_id": image_id,
            "label": [CLASSES[k] for k in label],
            "prediction": [
                CLASSES[(k + w) % len(CLASSES)] for k, w in zip(label, wrong, strict=True)
            ],
        }
    )
    row, column = np.nonzero(carried)
    rare = np.arange(0, images, 97)  # too few of a class to count
    tags = pl.DataFrame(
        {
            "image_id": image_id.gather(np.concatenate([row, rare])),
            "tag": [TAGS[n] for n in column] + [f"rare {n % 50}" for n in rare],
        }
    )
    return predictions, tags


@dataclass(frozen=True)
class Run:
    """What a stored run should hold.

    Attributes
    ----------
    images
        ``base``, or ``all`` with those that were appended.
    drop
        Its `min_drop`.
    counted
        Whether it counted itself; one that was refiltered has no images of its own.
    unseen
        Which unseen data it was checked on, if any.
    sure
        Whether its q-values are there.
    status
        As in ``runs``.
    """

    images: str = "base"
    drop: float = OPTIONS["min_drop"]
    counted: bool = True
    unseen: str | None = None
    sure: bool = False
    status: str = "complete"


class World:
    """A folder with the input, and what runs over it hold."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.size = folder, images
        base, new = tables(images), tables(images // 20, 7, first=images)
        self.inputs = {
            "base": base,
            "new": new,
            "all": tuple(pl.concat(pair) for pair in zip(base, new, strict=True)),
            **{name: tables(images // 4, seed, first=2 * images) for name, seed in UNSEEN.items()},
        }
        for name, (predictions, tags) in self.inputs.items():
            predictions.write_parquet(self.file(name))
            tags.write_parquet(self.file(name, tags=True))

    def file(self, name: str, *, tags: bool = False) -> Path:
        stem = "" if name == "base" else f"{name}_"
        return self.folder / f"{stem}{'tags' if tags else 'predictions'}.parquet"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a process needs: the files, without what they hold."""
        return {"folder": self.folder, "size": self.size}

    @cache  # noqa: B019  # one world a process
    def expected(self, run: Run) -> dict[str, pl.DataFrame]:
        """Return the tables of a run, worked out from the input alone where that can be."""
        predictions, tags = self.inputs[run.images]
        rows = predictions.with_columns(
            error=(pl.col("label") != pl.col("prediction")).cast(pl.Int32)
        )
        counts = rows.group_by(class_name="label").agg(
            images=pl.len().cast(pl.Int64), errors=pl.col("error").sum().cast(pl.Int64)
        )
        named = tags.join(rows.select("image_id", class_name="label"), on="image_id")
        support = named.group_by("class_name", "tag").agg(support=pl.len())
        named = named.join(support, on=["class_name", "tag"])
        least = pl.col("support") >= OPTIONS["min_images"]
        held = {
            "classes": counts,
            "outcomes": rows.select(pl.col("label").alias("class_name"), *rows.columns),
            "tagged": named.filter(least).select("class_name", "image_id", "tag"),
            "rare_tags": named.filter(~least).select("class_name", "image_id", "tag"),
        }
        if not run.counted:
            held = {name: held[name] if name == "classes" else held[name].clear() for name in held}
        found = self.modes(run.images, run.drop)
        held["tag_sets"] = pl.DataFrame(
            [
                (name, " + ".join(each), *numbers)
                for (name, each), numbers in self.sets(run.images, run.drop).items()
            ],
            schema=["class_name", "tags", "images", "errors"],
            orient="row",
        )
        held["failure_modes"] = pl.DataFrame(
            [
                (
                    m.class_name,
                    " + ".join(m.tags),
                    m.images,
                    m.errors,
                    m.class_images,
                    m.class_errors,
                )
                for m in found.values()
            ],
            schema=["class_name", "tags", "images", "errors", "class_images", "class_errors"],
            orient="row",
        )
        held["failure_mode_tags"] = pl.DataFrame(
            [
                (m.class_name, " + ".join(m.tags), tag, other)
                for m in found.values()
                for tag, other in m.accuracy_without.items()
            ],
            schema=["class_name", "tags", "tag", "accuracy_without"],
            orient="row",
        )
        held["validations"] = self._seen_again(found, run.unseen)
        held["validation_runs"] = pl.DataFrame(
            {"images": [] if run.unseen is None else [len(self.inputs[run.unseen][0])]},
            schema={"images": pl.Int64},
        )
        return held

    @cache  # noqa: B019
    def modes(self, images: str, drop: float) -> dict[Any, oracle.Expected]:
        return oracle.failure_modes(*self._rows(images), **self._definition(drop))

    @cache  # noqa: B019
    def sets(self, images: str, drop: float) -> dict[Any, tuple[int, int]]:
        return oracle.counted_sets(*self._rows(images), **self._definition(drop))

    def _definition(self, drop: float) -> dict[str, Any]:
        return {"max_tags": 2, "min_images": OPTIONS["min_images"], "min_drop": drop}

    def _rows(self, images: str) -> tuple[list[Any], list[Any]]:
        predictions, tags = self.inputs[images]
        outcomes = [(label, i, label != said) for i, label, said in predictions.rows()]
        return outcomes, tags.rows()

    def _seen_again(self, found: dict[Any, oracle.Expected], unseen: str | None) -> pl.DataFrame:
        rows: list[tuple[str, str, int, int]] = []
        if unseen is not None:
            outcomes, tags = self._rows(unseen)
            carried: dict[Any, set[str]] = {}
            for image_id, tag in tags:
                carried.setdefault(image_id, set()).add(tag)
            for name, each in found:
                fits = [
                    e for c, i, e in outcomes if c == name and set(each) <= carried.get(i, set())
                ]
                rows.append((name, " + ".join(each), len(fits), sum(fits)))
        schema = {
            "class_name": pl.String,
            "tags": pl.String,
            "images": pl.Int64,
            "errors": pl.Int64,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")


# What is stored ---------------------------------------------------------------------------------

_MODE = "join prime.failure_modes m using (run_id, mode_id)"
_CLASS = "join prime.classes c on c.run_id = {run} and c.class_id = t.class_id"
_IMAGE = (
    "join prime.outcomes o on o.run_id = {run} and o.class_id = t.class_id "
    f"and o.image_no = t.image_no {_CLASS}"
)
STORED = {
    "classes": "select class_name, images, errors from prime.classes t",
    "outcomes": "select class_name, image_id, label, prediction, error from prime.outcomes t "
    + _CLASS,
    "tagged": "select class_name, image_id, tag from prime.tagged t "
    "join prime.vocabulary v on v.run_id = {run} and v.tag_id = t.tag_id " + _IMAGE,
    "rare_tags": "select class_name, image_id, tag from prime.rare_tags t " + _IMAGE,
    "tag_sets": "select class_name, tags, images, errors from prime.tag_sets t",
    "failure_modes": "select class_name, tags, images, errors, class_images, class_errors "
    "from prime.failure_modes t",
    "failure_mode_tags": "select class_name, tags, tag, accuracy_without "
    f"from prime.failure_mode_tags t {_MODE}",
    "validations": f"select class_name, tags, t.images, t.errors from prime.validations t {_MODE}",
    "validation_runs": "select images from prime.validation_runs t",
}


class Damaged(Exception):  # noqa: N818
    """What is stored is neither that of before nor that of after."""


def stored_runs(con: duckdb.DuckDBPyConnection) -> list[tuple[int, str]]:
    has = "select count(*) from duckdb_tables() where schema_name = 'prime' and table_name = 'runs'"
    if con.execute(has).fetchall() == [(0,)]:
        return []
    return con.execute("select run_id, status from prime.runs order by run_id").fetchall()


def check_run(con: duckdb.DuckDBPyConnection, run_id: int, run: Run, world: World) -> None:
    """Compare every table of a stored run with what it should hold."""
    for name, expected in world.expected(run).items():
        sql = f"{STORED[name].format(run=run_id)} where t.run_id = {run_id}"
        try:
            assert_frame_equal(
                con.sql(sql).pl(), expected, check_row_order=False, check_dtypes=False
            )
        except AssertionError as error:
            raise Damaged(f"{name} of run {run_id}: {error}") from error
    modes = world.expected(run)["failure_modes"].height
    sure = con.execute(
        "select count(*), count(p_value), count(q_value) from prime.failure_mode_chance "
        f"where run_id = {run_id}"
    ).fetchall()
    if sure != [(modes, modes, modes if run.sure else 0)]:
        raise Damaged(f"failure_mode_chance of run {run_id}: {sure}, not of {modes} modes")


def check_state(db: Path, state: tuple[Run, ...], world: World, *, clean: bool = False) -> None:
    """Compare all runs of a file; where it should be clean, no other row is in a table."""
    with duckdb.connect(str(db)) as con:
        found = stored_runs(con)
        if [status for _, status in found] != [run.status for run in state]:
            raise Damaged(f"runs: {found}")
        for (run_id, _), run in zip(found, state, strict=True):
            check_run(con, run_id, run, world)
        if clean:
            for name in names():
                of_no_run = con.execute(
                    f"select count(*) from prime.{name} where run_id not in (from prime.runs "
                    "select run_id)"
                ).fetchall()
                if of_no_run != [(0,)]:
                    raise Damaged(f"{of_no_run} rows of {name} are of no run")
