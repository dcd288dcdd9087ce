"""Kill real processes at their work, and look at what they left: ``python -m tests.kills``.

A process does one of the commands of `CASES` on a DuckDB file and is ended by SIGKILL: one in three
at any moment of its life, the others about a commit, after the statement before it. Then every
table of every run must be that of before, or that of after: outcomes and tags are compared with the
input, tag sets and failure modes with `tests.oracle`, unseen images with a count of our own. And so
must those of the next search into the same file, which would take over what a torn log left.

Prints what was killed, where, and what was found; the exit status is 1 where anything is damaged.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

import prime_sql as ps
import prime_sql.append
import prime_sql.job
import prime_sql.prune
import prime_sql.report
import prime_sql.search
import prime_sql.validate  # all that a process needs is imported before it starts
from prime_sql.schema import TABLES
from tests import oracle

OPTIONS: dict[str, Any] = {"max_tags": 2, "min_images": 40, "min_drop": 0.3, "job": "nightly"}
OTHER_DROP = 0.4
UNSEEN = {"a": 1, "b": 2}  # seeds
TAGS = [f"tag {n:02}" for n in range(24)]
CLASSES = [f"class {n}" for n in range(8)]

JOB = """
name = "nightly"
db = "a.duckdb"
[sources]
predictions = "predictions.parquet"
tags = "tags.parquet"
[options]
max_tags = 2
min_images = 40
min_drop = 0.3
[validation]
predictions = "unseen_b.parquet"
tags = "unseen_b_tags.parquet"
[[outputs]]
file = "modes.csv"
[[outputs]]
file = "modes.json"
[[outputs]]
table = "marts.modes"
"""
OLD = "what the night before left\n"


# The tables -------------------------------------------------------------------------------------


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
        stem = "" if name == "base" else f"{'unseen_' if name in UNSEEN else ''}{name}_"
        return self.folder / f"{stem}{'tags' if tags else 'predictions'}.parquet".replace(
            "unseen_b_predictions", "unseen_b"
        )

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
            for name in TABLES:
                of_no_run = con.execute(
                    f"select count(*) from prime.{name} where run_id not in (from prime.runs "
                    "select run_id)"
                ).fetchall()
                if of_no_run != [(0,)]:
                    raise Damaged(f"{of_no_run} rows of {name} are of no run")


# What is done -----------------------------------------------------------------------------------

Work = Callable[[Path, World, Any], object]


def _search(db: Path, world: World, on_sql: Any, images: str = "base", **more: Any) -> None:
    files = (world.file(images), world.file(images, tags=True))
    ps.search(*map(str, files), into=db, on_sql=on_sql, **OPTIONS, **more).close()


def _prune(db: Path, world: World, on_sql: Any) -> None:
    ps.prune(db, keep=1, on_sql=on_sql)


def _on_run(
    what: Callable[[ps.Run, World, Any], object], db: Path, world: World, on_sql: Any
) -> None:
    with ps.open_run(db, read_only=False) as run:
        what(run, world, on_sql)


def _validate(run: ps.Run, world: World, on_sql: Any, unseen: str = "b") -> None:
    files = (world.file(unseen), world.file(unseen, tags=True))
    run.validate(*map(str, files), on_sql=on_sql)


def _chance(run: ps.Run, world: World, on_sql: Any) -> None:
    run.chance(on_sql=on_sql)


def _refilter(run: ps.Run, world: World, on_sql: Any) -> None:
    run.refilter(min_drop=OTHER_DROP, job=OPTIONS["job"], on_sql=on_sql)


def _job(db: Path, world: World, on_sql: Any) -> None:
    job = prime_sql.job.read(db.parent / "job.toml")
    prime_sql.job.run(job, on_sql=on_sql).run.close()


@dataclass(frozen=True)
class Case:
    """A command, the runs before it, and after each of its commits."""

    name: str
    work: Work
    before: tuple[Run, ...]
    after: tuple[tuple[Run, ...], ...]
    makes: Work | None = None  # fills the file with `before`; None: there is none

    @property
    def states(self) -> tuple[tuple[Run, ...], ...]:
        return (self.before, *self.after)


_BASE, _ALL = Run(), Run("all")
_new = Run(status="unpublished")


def _made(*steps: Work) -> Work:
    def make(db: Path, world: World, on_sql: Any) -> None:
        for step in steps:
            step(db, world, on_sql)

    return make


_append = partial(_search, images="new", append=True)
_validated = partial(_on_run, partial(_validate, unseen="a"))
CASES = (
    Case("search, new file", _search, (), ((_BASE,),)),
    Case(
        "search, existing file",
        _search,
        (replace(_BASE, unseen="a"),),
        ((replace(_BASE, unseen="a"), _BASE),),
        _made(_search, _validated),
    ),
    Case("append", _append, (_BASE,), ((_BASE, _ALL),), _search),
    Case(
        "prune",
        _prune,
        (_BASE, _ALL, _BASE),
        ((_BASE,),),
        _made(_search, _append, _search),
    ),
    Case(
        "validate",
        partial(_on_run, _validate),
        (replace(_BASE, unseen="a"),),
        ((replace(_BASE, unseen="b"),),),
        _made(_search, _validated),
    ),
    Case("chance", partial(_on_run, _chance), (_BASE,), ((replace(_BASE, sure=True),),), _search),
    Case(
        "refilter",
        partial(_on_run, _refilter),
        (_BASE,),
        ((_BASE, Run(drop=OTHER_DROP, counted=False)),),
        _search,
    ),
    Case(
        "job with outputs",
        _job,
        (_BASE,),
        (
            (_BASE, _new),
            (_BASE, replace(_new, unseen="b")),
            (_BASE, Run(unseen="b")),
        ),
        _search,
    ),
)


# Kills ------------------------------------------------------------------------------------------


def child(case: str, db: Path, world: World, told: Connection | None) -> None:
    """Do the work of a case; tell of each statement, if anybody listens."""
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    warnings.simplefilter("ignore")
    on_sql = None if told is None else (lambda s: told.send((s.sql[:40], s.seconds)))
    next(each for each in CASES if each.name == case).work(db, world, on_sql)


@dataclass
class Kills:
    """All kills of one world, and what came of them."""

    world: World
    rng: random.Random
    found: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.world.modes("base", OPTIONS["min_drop"]), "there is nothing to find"
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.kills"])
        self._light = _Light(self.world.folder, self.world.size)
        self._known: dict[str, tuple[list[tuple[str, float]], float]] = {}

    def one(self, case: Case, where: str) -> None:
        """Kill one process, ``anywhere`` or about a ``commit``, and look at what it left."""
        folder = Path(tempfile.mkdtemp(dir=self.world.folder))
        try:
            statements, whole = self._undisturbed(case)
            db = self._prepared(case, folder)
            if where == "anywhere":
                ended = self._run(case, db, after=None, delay=self.rng.random() * whole * 1.1)
            else:
                last, seconds = self.rng.choice(
                    [(n, s) for n, (sql, s) in enumerate(statements) if sql == "commit"]
                )
                # After the statement before the commit: that the commit begins.
                delay = self.rng.random() * seconds * 1.5
                ended = self._run(case, db, after=last, delay=delay)
            self.found[case.name, where, self._left(case, db, ended)] += 1
        except Damaged as error:
            self.found[case.name, where, "damaged"] += 1
            self.damaged.append(f"{case.name}, {where}: {error}")
        finally:
            shutil.rmtree(folder)

    def _prepared(self, case: Case, folder: Path) -> Path:
        """Return the file of a case as it is before its command, in a folder of its own."""
        db = folder / "a.duckdb"
        made = self.world.folder / f"{case.name}.duckdb"
        if case.makes is not None:
            if not made.exists():
                case.makes(made, self.world, None)
                check_state(made, case.before, self.world, clean=True)
            shutil.copyfile(made, db)
        for name in ("modes.csv", "modes.json"):
            folder.joinpath(name).write_text(OLD)
        folder.joinpath("job.toml").write_text(JOB)
        for name in ("base", "b"):
            for tags in (False, True):
                file = self.world.file(name, tags=tags)
                folder.joinpath(file.name).symlink_to(file)
        return db

    def _undisturbed(self, case: Case) -> tuple[list[tuple[str, float]], float]:
        """Return the statements of a case and its seconds, where nobody kills it."""
        if case.name not in self._known:
            folder = Path(tempfile.mkdtemp(dir=self.world.folder))
            db = self._prepared(case, folder)
            here, there = self._context.Pipe(duplex=False)
            start = time.monotonic()
            process = self._start(case, db, there)
            statements = list(_received(here))
            process.join()
            assert process.exitcode == 0, case.name
            whole = time.monotonic() - start
            check_state(db, case.after[-1], self.world, clean=True)
            shutil.rmtree(folder)
            assert any(sql == "commit" for sql, _ in statements), statements
            self._known[case.name] = statements, whole
        return self._known[case.name]

    def _start(self, case: Case, db: Path, told: Connection | None) -> Any:
        process = self._context.Process(target=child, args=(case.name, db, self._light, told))
        process.start()
        if told is not None:
            told.close()
        return process

    def _run(self, case: Case, db: Path, *, after: int | None, delay: float) -> bool:
        """Kill the process of a case; return whether it had ended by itself."""
        here = there = None
        if after is not None:
            here, there = self._context.Pipe(duplex=False)
        process = self._start(case, db, there)
        if here is not None:
            for number, _ in enumerate(_received(here), 1):
                if number == after:
                    break
        time.sleep(delay)
        with suppress(ProcessLookupError):  # it has ended
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        if here is not None:
            here.close()
        assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
        return bool(process.exitcode == 0)

    def _left(self, case: Case, db: Path, ended: bool) -> str:
        """Check what is left and the search after it; return which state was found."""
        place = None
        if not db.exists():
            place = 0 if case.makes is None else None
        else:
            with duckdb.connect(str(db)) as con:
                statuses = [status for _, status in stored_runs(con)]
            fits = [
                n
                for n, state in enumerate(case.states)
                if [run.status for run in state] == statuses and (n or case.makes is not None)
            ]
            problems = []
            for n in fits:
                try:
                    check_state(db, case.states[n], self.world)
                    place = n
                except Damaged as error:
                    problems.append(str(error))
            if place is None:
                raise Damaged("; ".join(problems) or f"runs: {statuses}")
        if place is None:
            raise Damaged("the file is gone")
        if ended and place != len(case.after):
            raise Damaged(f"the process had ended, and state {place} is there")
        self._check_outputs(case, db, place)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _search(db, self.world, None)
        check_state(db, (*case.states[place], _BASE), self.world, clean=True)
        return (
            ("before", "after")[place == len(case.after)]
            if place in (0, len(case.after))
            else "between"
        )

    def _check_outputs(self, case: Case, db: Path, place: int) -> None:
        if case.work is not _job:
            return
        with duckdb.connect(str(db)) as con:
            made = con.execute(
                "select count(*) from duckdb_tables() where schema_name = 'marts'"
            ).fetchall()
            if made != [(int(place == len(case.after)),)]:
                raise Damaged(f"marts.modes: {made} in state {place}")
        modes = self.world.expected(_BASE)["failure_modes"].height
        for name, read in (("modes.csv", _csv_rows), ("modes.json", _json_rows)):
            text = db.with_name(name).read_text()
            if text == OLD:
                if place == len(case.after):
                    raise Damaged(f"{name} is old although its run is complete")
            elif read(text) != modes:
                raise Damaged(f"{name} is cut off")


def _csv_rows(text: str) -> int:
    return pl.read_csv(text.encode()).height


def _json_rows(text: str) -> int:
    return len(json.loads(text))


class _Light(World):
    """The files of a world, without what they hold: what a process needs."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size


def _received(here: Connection) -> Any:
    try:
        while True:
            yield here.recv()
    except EOFError:
        return


def main(arguments: list[str] | None = None) -> int:
    """Kill so many processes and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--images", type=int, nargs="+", default=[3_000, 60_000], help="sizes, taken in turns"
    )
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES])
    asked = parser.parse_args(arguments)
    print(f"duckdb {duckdb.__version__}, {asked.kills} kills, --seed {asked.seed}", flush=True)
    rng = random.Random(asked.seed)
    damaged = 0
    with tempfile.TemporaryDirectory() as folder:
        worlds = []
        for size in asked.images:
            place = Path(folder, str(size))
            place.mkdir()
            worlds.append(Kills(World(place, size), rng))
        cases = [case for case in CASES if not asked.only or case.name in asked.only]
        for number in range(asked.kills):
            # Cases, sizes and places in turns, so that each meets each.
            kills = worlds[number // len(cases) % len(worlds)]
            case = cases[number % len(cases)]
            where = "anywhere" if number // len(cases) % 3 == 0 else "commit"
            try:
                kills.one(case, where)
            except Exception:
                traceback.print_exc()
                kills.damaged.append(f"{case.name}, {where}: the test itself failed")
        for kills in worlds:
            print(f"\n{kills.world.size:,} images")
            for (name, where, state), count in sorted(kills.found.items()):
                print(f"  {name:24}{where:10}{state:10}{count:5}")
            for problem in kills.damaged:
                print(f"  damaged: {problem}")
            damaged += len(kills.damaged)
    print(f"\n{asked.kills} killed, damaged: {damaged}", flush=True)
    return 1 if damaged else 0
