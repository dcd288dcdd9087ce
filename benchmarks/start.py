"""Measure what it costs to start, and to search little: ``python -m benchmarks.start``.

Seconds are CPU time, user and system together: of whole processes, and of searches of 200 images in
memory within one process, after its imports and a first search. Python alone and ``import typer``
are measured beside them, so that two machines can be compared by ratios.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import polars as pl
from rich.console import Console
from rich.table import Table

import prime_sql as ps

PROCESSES = {
    "python -c pass": ["-c", "pass"],
    "import typer": ["-c", "import typer"],
    "import prime_sql": ["-c", "import prime_sql"],
    "prime-sql --version": ["-m", "prime_sql", "--version"],
    "prime-sql --help": ["-m", "prime_sql", "--help"],
    "prime-sql search --help": ["-m", "prime_sql", "search", "--help"],
    "prime-sql serach": ["-m", "prime_sql", "serach"],  # a usage error
}
IMAGES = 200


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.start",
        description="Measure what it costs to start, and to search little.",
    )
    parser.add_argument("--runs", type=int, default=9, help="of each (default: %(default)s)")
    options = parser.parse_args(arguments)
    table = Table("seconds of CPU time", "least", "median", "runs")
    for name, command in PROCESSES.items():
        add(table, name, [process(command) for _ in range(options.runs)])
    predictions, tags = tables()
    search(predictions, tags)
    spent = [cost(lambda: search(predictions, tags)) for _ in range(5 * options.runs)]
    add(table, f"a search of {IMAGES} images in memory", spent)
    console = Console()
    console.print(table)
    steps: list[str] = []
    search(predictions, tags, lambda statement: steps.append(statement.step))
    console.print(f"The search runs {len(steps)} statements, {steps.count('publish')} to publish.")


def add(table: Table, name: str, seconds: list[float]) -> None:
    """Add a row."""
    least, median = min(seconds), statistics.median(seconds)
    table.add_row(name, f"{least:.3f}", f"{median:.3f}", str(len(seconds)))


def process(command: list[str]) -> float:
    """Return the CPU time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], capture_output=True, check=False)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime


def cost(work: Callable[[], object]) -> float:
    """Return the CPU time of work in this process, all threads together."""
    started = time.process_time()
    work()
    return time.process_time() - started


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return predictions and tags: two classes, each with one tag on which it fails."""
    numbers = pl.int_range(IMAGES, eager=True)
    label = pl.when(pl.col("n") % 2 == 0).then(pl.lit("ape")).otherwise(pl.lit("bear"))
    predictions = pl.DataFrame({"n": numbers}).select(
        image_id=pl.col("n"),
        label=label,
        prediction=pl.when(pl.col("n") % 5 < 2, pl.col("n") % 7 < 5)
        .then(pl.lit("cat"))
        .otherwise(label),
    )
    images = pl.DataFrame({"n": numbers})
    tags = pl.concat(
        images.filter(pl.col("n") % size < carried).select(image_id="n", tag=pl.lit(f"tag {size}"))
        for size, carried in ((3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (9, 4), (11, 6))
    )
    return predictions, tags


def search(
    predictions: pl.DataFrame,
    tags: pl.DataFrame,
    on_sql: Callable[[ps.Statement], object] | None = None,
) -> None:
    """Search once, and read the answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ps.InputWarning)
        with ps.search(predictions, tags, on_sql=on_sql) as run:
            assert run.failure_modes.to_polars().height


if __name__ == "__main__":
    main()
