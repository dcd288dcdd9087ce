"""Measure an append against a search of everything: ``python -m benchmarks.append``.

A data set of the benchmarks is split at random: a run holds most of its images, and a night brings
the rest. The night is appended, and everything is searched in full, one after the other in one
process, into database files; both must find the same failure modes. Seconds are those of the
clock, and of all cores together, which other work on the machine changes less; ratios are of the
latter. A night of 0 % shows what grows with all images: their rows are copied into the new run.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

import prime_sql as ps
from benchmarks.__main__ import THRESHOLDS
from benchmarks.datasets import RECIPES, Files, generate


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.append",
        description="Measure an append against a search of everything.",
    )
    parser.add_argument("--only", choices=list(RECIPES), default="imagenet", help="this data set")
    parser.add_argument(
        "--share",
        type=float,
        action="append",
        metavar="PERCENT",
        help="how much of the images is new (repeatable; 0, 1, 5 and 20 if left out)",
    )
    parser.add_argument("--data", metavar="DIR", help="keep the generated files in this folder")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ps.InputWarning)
    table = Table("new images", "seconds", "of all cores", "classes anew", "sets anew", "ratio")
    kept = nullcontext(options.data) if options.data else tempfile.TemporaryDirectory()
    with kept as folder, tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = generate(RECIPES[options.only], Path(folder))
        full, clock, cores = timed(whole, Path(scratch) / "full.duckdb")
        modes = full.failure_modes.to_polars().drop("run_id")
        full.close()
        table.add_row("all: a full search", f"{clock:.2f}", f"{cores:.2f}", "", "", "1")
        for percent in options.share or (0.0, 1.0, 5.0, 20.0):
            earlier, night = split(whole, percent, Path(scratch))
            database = Path(scratch) / f"{percent}.duckdb"
            timed(earlier, database)[0].close()
            run, spent, worked = timed(night, database, append=True)
            if not run.failure_modes.to_polars().drop("run_id").equals(modes):
                raise SystemExit(f"{percent} %: the failure modes are not those of a full search")
            table.add_row(
                f"{run.row_counts['new_predictions']:,} ({percent:g} %)",
                f"{spent:.2f}",
                f"{worked:.2f}",
                f"{run.row_counts['recounted_classes']:,}",
                f"{run.row_counts['recounted_tag_sets']:,}",
                f"{worked / cores:.2f}",
            )
            run.close()
            database.unlink()
        Console().print(table)


def timed(data: Files, database: Path, *, append: bool = False) -> tuple[ps.Run, float, float]:
    """Return a run, its seconds by the clock, and those of all cores."""
    started, worked = time.perf_counter(), time.process_time()
    run = ps.search(
        str(data.predictions), str(data.tags), into=database, append=append, **THRESHOLDS
    )
    return run, time.perf_counter() - started, time.process_time() - worked


def split(data: Files, percent: float, folder: Path) -> tuple[Files, Files]:
    """Write the images in two parts: the earlier ones, and so many of them as a night's."""
    parts = []
    for name, side in (("earlier", ">="), ("night", "<")):
        home = folder / f"{name}-{percent}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        part = Files(home / "predictions.parquet", home / "tags.parquet")
        for source, target in zip(
            (data.predictions, data.tags), (part.predictions, part.tags), strict=True
        ):
            duckdb.sql(
                f"copy (from '{source}' where hash(image_id) % 100000 {side} {percent * 1000}) "
                f"to '{target}' (format parquet)"
            )
        parts.append(part)
    return parts[0], parts[1]


if __name__ == "__main__":
    main()
