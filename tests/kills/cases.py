"""The commands whose processes are killed, with the runs before each and after each commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import prime_sql as ps
import prime_sql.discovery.append
import prime_sql.discovery.search
import prime_sql.job
import prime_sql.questions.prune
import prime_sql.questions.validation  # all that a process needs is imported before it starts
import prime_sql.report
from tests.kills.world import OPTIONS, Run, World

OTHER_DROP = 0.4
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
predictions = "b_predictions.parquet"
tags = "b_tags.parquet"
[[outputs]]
file = "modes.csv"
[[outputs]]
file = "modes.json"
[[outputs]]
table = "marts.modes"
"""


Work = Callable[[Path, World, Any], object]


def search(db: Path, world: World, on_sql: Any, images: str = "base", **more: Any) -> None:
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


def do_job(db: Path, world: World, on_sql: Any) -> None:
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


_append = partial(search, images="new", append=True)
_validated = partial(_on_run, partial(_validate, unseen="a"))
CASES = (
    Case("search, new file", search, (), ((_BASE,),)),
    Case(
        "search, existing file",
        search,
        (replace(_BASE, unseen="a"),),
        ((replace(_BASE, unseen="a"), _BASE),),
        _made(search, _validated),
    ),
    Case("append", _append, (_BASE,), ((_BASE, _ALL),), search),
    Case(
        "prune",
        _prune,
        (_BASE, _ALL, _BASE),
        ((_BASE,),),
        _made(search, _append, search),
    ),
    Case(
        "validate",
        partial(_on_run, _validate),
        (replace(_BASE, unseen="a"),),
        ((replace(_BASE, unseen="b"),),),
        _made(search, _validated),
    ),
    Case("chance", partial(_on_run, _chance), (_BASE,), ((replace(_BASE, sure=True),),), search),
    Case(
        "refilter",
        partial(_on_run, _refilter),
        (_BASE,),
        ((_BASE, Run(drop=OTHER_DROP, counted=False)),),
        search,
    ),
    Case(
        "job with outputs",
        do_job,
        (_BASE,),
        (
            (_BASE, _new),
            (_BASE, replace(_new, unseen="b")),
            (_BASE, Run(unseen="b")),
        ),
        search,
    ),
)
