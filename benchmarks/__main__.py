"""Measure the search against the NumPy reference on generated data: ``python -m benchmarks``.

Each run has a process of its own, in which the product goes first and the reference follows on
the same files; both must find the same failure modes. The files are read once beforehand, so
that neither waits for the disk. The product's peak memory is taken before the reference starts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from benchmarks.datasets import RECIPES, Files, files, generate

if TYPE_CHECKING:
    import polars as pl

    from benchmarks.reference import Mode

# Passed to both, so that a changed default of the product cannot make them answer two questions.
THRESHOLDS: dict[str, Any] = {
    "max_tags": 4,
    "min_images": 30,
    "min_drop": 0.30,
    "necessity": (0.10, 0.05, 0.025),
}


class MeasurementError(Exception):
    """Why a run gave no measurement."""


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit status is 0 unless a run failed or the failure modes differed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {options.repeat}")
    if options.child:
        return _child(options)

    console = Console(stderr=True)
    kept = nullcontext(options.data) if options.data else tempfile.TemporaryDirectory()
    with kept as folder:
        try:
            results = [
                _measure(name, Path(folder), options, console) for name in options.only or RECIPES
            ]
        except MeasurementError as error:
            console.print(f"error: {error}", style="red", markup=False, highlight=False)
            return 1
    _show(results)
    if options.json:
        document = {"environment": _environment(), "thresholds": THRESHOLDS, "results": results}
        Path(options.json).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the search against a NumPy reference."
    )
    parser.add_argument(
        "--only", action="append", choices=list(RECIPES), help="this data set (repeatable)"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="runs of each; medians are shown"
    )
    parser.add_argument("--data", metavar="DIR", help="keep the generated files in this folder")
    parser.add_argument("--json", metavar="FILE", help="write every number to this file too")
    parser.add_argument(
        "--reference-only", action="store_true", help="measure the NumPy reference alone"
    )
    parser.add_argument(
        "--portable", action="store_true", help="search with the portable plan, not with DuckDB's"
    )
    parser.add_argument(
        "--memory-limit", metavar="SIZE", help="what the search may take, such as 500MB"
    )
    parser.add_argument("--child", choices=["generate", "measure"], help=argparse.SUPPRESS)
    return parser


def _measure(
    name: str, folder: Path, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """All runs of one data set, and their medians."""
    # On Linux a process inherits the peak memory of the one that started it. So this one stays
    # small: it neither generates nor searches.
    with console.status(f"{name}: generating"):
        _run_child("generate", name, folder, options)
    runs = []
    for number in range(1, options.repeat + 1):
        with console.status(f"{name}: run {number} of {options.repeat}"):
            runs.append(_run_child("measure", name, folder, options))
    middle: dict[str, Any] = {}
    for key, value in runs[0].items():
        if isinstance(value, float):
            middle[key] = median(run[key] for run in runs)
        elif key.endswith("steps"):
            middle[key] = {step: median(run[key].get(step, 0.0) for run in runs) for step in value}
    return {"name": name, "rows": runs[0]["rows"], "median": middle, "runs": runs}


def _run_child(
    task: Literal["generate", "measure"], name: str, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "benchmarks", "--child", task, "--only", name]
        command += ["--data", str(folder), "--json", str(answer)]
        command += ["--reference-only"] if options.reference_only else []
        command += ["--portable"] if options.portable else []
        command += ["--memory-limit", options.memory_limit] if options.memory_limit else []
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip() or f"the process ended with status {done.returncode}"
            raise MeasurementError(f"{name}: {reason}")
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return result


def _child(options: argparse.Namespace) -> int:
    recipe, folder = RECIPES[options.only[0]], Path(options.data)
    result: dict[str, Any] = {}
    if options.child == "generate":
        generate(recipe, folder)
    else:
        try:
            result = _run_pair(files(recipe, folder), options)
        except MeasurementError as error:
            print(error, file=sys.stderr)
            return 1
    Path(options.json).write_text(json.dumps(result), encoding="utf-8")
    return 0


def _run_pair(data: Files, options: argparse.Namespace) -> dict[str, Any]:
    """Time the product, then the reference, on warm files; compare what they found."""
    _read_once(data)
    product = None if options.reference_only else _run_product(data, options)

    # Imported only now: these packages must not count as the product's memory.
    import pyarrow.parquet as pq

    from benchmarks import reference

    started = time.perf_counter()
    found = reference.search(data.predictions, data.tags, **THRESHOLDS)
    seconds = time.perf_counter() - started
    rows = {
        "images": pq.read_metadata(data.predictions).num_rows,
        "tags": pq.read_metadata(data.tags).num_rows,
        "tag_sets": found.tag_sets,
        "failure_modes": len(found.modes),
    }
    result: dict[str, Any] = {"rows": rows}
    result |= {"reference_seconds": seconds, "reference_steps": found.seconds}
    if product is not None:
        run, result["seconds"], result["peak_mb"] = product
        result["ratio"] = result["seconds"] / seconds
        result["steps"] = {step: float(spent) for step, spent in run.seconds.items()}
        rows["tag_sets"] = run.tag_sets.to_polars().height
        _compare(run.failure_modes.to_polars(), found.modes)
    return result


def _run_product(data: Files, options: argparse.Namespace) -> tuple[Any, float, float]:
    """The product's run, its seconds from files to tables, and the process's peak MB."""
    try:
        import prime_sql as ps
        from prime_sql.engine.session import Session
    except ImportError as error:
        raise MeasurementError(
            f"prime_sql cannot be imported ({error}); --reference-only does without it"
        ) from error
    if options.portable:
        Session.plans = None
    started = time.perf_counter()
    run = ps.search(
        str(data.predictions), str(data.tags), memory_limit=options.memory_limit, **THRESHOLDS
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return run, seconds, peak / (2**20 if sys.platform == "darwin" else 2**10)


def _read_once(data: Files) -> None:
    for path in (data.predictions, data.tags):
        with path.open("rb") as file:
            while file.read(2**20):
                pass


def _compare(frame: pl.DataFrame, modes: list[Mode]) -> None:
    """Raise unless the product's failure modes are the reference's, with the same counts."""
    rows = frame.select("class_name", "tags", "images", "errors").rows()
    ours = [(name, tuple(tags.split(" + ")), images, errors) for name, tags, images, errors in rows]
    theirs = [(mode.class_name, mode.tags, mode.images, mode.errors) for mode in modes]
    if sorted(ours) == sorted(theirs):
        return
    extra, missing = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    message = f"the product found {len(ours)} failure modes, the reference {len(theirs)}"
    for text, some in (("only in the product", extra), ("only in the reference", missing)):
        if some:
            message += f"; {len(some)} {text}, such as {some[0]}"
    raise MeasurementError(message)


def _environment() -> dict[str, Any]:
    packages = {}
    for package in ("duckdb", "ibis-framework", "numpy", "polars", "pyarrow"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": packages,
    }


def _show(results: list[dict[str, Any]]) -> None:
    # Wide enough off a terminal too: a log must not cut the numbers off.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    table = Table(title="search, against a NumPy bitset search of the same files")
    table.add_column("data set")
    for column in (
        "images",
        "tag rows",
        "tag sets",
        "failure modes",
        "seconds",
        "reference seconds",
        "ratio",
        "peak memory",
    ):
        table.add_column(column, justify="right")
    for result in results:
        rows, middle = result["rows"], result["median"]
        table.add_row(
            result["name"],
            *(f"{rows[key]:,}" for key in ("images", "tags", "tag_sets", "failure_modes")),
            _number(middle.get("seconds"), "{:.2f}"),
            _number(middle["reference_seconds"], "{:.2f}"),
            _number(middle.get("ratio"), "{:.2f}×"),
            _number(middle.get("peak_mb"), "{:,.0f} MB"),
        )
    console.print(table)

    steps = Table(title="seconds by step")
    steps.add_column("step")
    for result in results:
        steps.add_column(result["name"], justify="right")
    for key, whose in (("steps", ""), ("reference_steps", "reference: ")):
        tables = [result["median"].get(key, {}) for result in results]
        for step in dict.fromkeys(step for table in tables for step in table):
            cells = (_number(table.get(step), "{:.2f}") for table in tables)
            steps.add_row(whose + step, *cells)
        steps.add_section()
    console.print(steps)
    environment = _environment()
    packages = ", ".join(f"{name} {number}" for name, number in environment["packages"].items())
    console.print(
        f"Python {environment['python']}, {environment['cores']} cores, {packages}",
        highlight=False,
        style="dim",
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


if __name__ == "__main__":
    sys.exit(main())
