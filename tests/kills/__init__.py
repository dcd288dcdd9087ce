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
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from tests.kills.cases import CASES, JOB, Case, do_job, search
from tests.kills.world import OPTIONS, Damaged, Run, World, check_state, stored_runs

_BASE = Run()
OLD = "what the night before left\n"


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
        process = self._context.Process(target=child, args=(case.name, db, self.world, told))
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
            search(db, self.world, None)
        check_state(db, (*case.states[place], _BASE), self.world, clean=True)
        return (
            ("before", "after")[place == len(case.after)]
            if place in (0, len(case.after))
            else "between"
        )

    def _check_outputs(self, case: Case, db: Path, place: int) -> None:
        if case.work is not do_job:
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
            turn, place = divmod(number, len(cases))
            kills, case = worlds[turn % len(worlds)], cases[place]
            where = "anywhere" if (turn + place) % 3 == 0 else "commit"
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
