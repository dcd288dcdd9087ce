"""prime_sql beside other tools that can find the same tag sets: ``python -m benchmarks.peers``.

Every tool gets a process of its own for every data set and job, with a limit of seconds and of
memory; what ends there "did not finish". Answers are compared with the first tool that
finished, which is prime_sql. The numbers go to a JSON file, and the plots are drawn from it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import plots
from benchmarks.adapters import JOBS, PEERS, TOOLS, Job, Question
from benchmarks.datasets import RECIPES, Files, Recipe, generate

ROOT = Path(__file__).parent.parent
IMAGENET_X = ROOT.parent / "shared" / "data" / "imagenet_x"
NUMBERS = ROOT / "benchmarks" / "peers.json"

# What grows in the plots; all else stays as in Living17's recipe.
GROWING_IMAGES = (10_000, 100_000, 1_000_000, 10_000_000)
GROWING_TAGS = (5, 10, 20, 40)
# What Python, NumPy, Polars and prime_sql say where there is no more.
NO_MEMORY = ("MemoryError", "Unable to allocate", "memory allocation of", "LimitError")
PACKAGES = (
    "prime-sql",
    "duckdb",
    "ibis-framework",
    "numpy",
    "pandas",
    "polars",
    "mlxtend",
    "pysubgroup",
    "sliceline",
    "numba",
    "DivExplorer",
)


def growing() -> dict[str, Recipe]:
    """The data sets of the plots, by name."""
    # One class for every 5,000 images, as more images mostly come with more classes.
    images = {
        f"images-{count}": replace(
            RECIPES["living17"],
            name=f"images-{count}",
            classes=max(count // 5_000, 2),
            images_per_class=5_000,
            planted=8,
        )
        for count in GROWING_IMAGES
    }
    tags = {
        f"tags-{count}": replace(
            RECIPES["living17"],
            name=f"tags-{count}",
            classes=4,
            images_per_class=5_000,
            tags_per_image=count,
            planted=8,
        )
        for count in GROWING_TAGS
    }
    return images | tags


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit status is 0 unless prime_sql and the reference differed or failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.child:
        return _child(options)
    if options.plot_only and not options.json.exists():
        parser.error(f"there are no numbers in {options.json}; leave --plot-only out to take them")
    if not options.plot_only:
        folder = nullcontext(options.data) if options.data else tempfile.TemporaryDirectory()
        environment, results = _environment(options), _kept(options)
        with folder as place:
            for result in _results(Path(place), options, Console(stderr=True)):
                results.append(result)
                # Every time, because a run takes hours and may be stopped.
                document = {"environment": environment, "results": results}
                options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    document = json.loads(options.json.read_text(encoding="utf-8"))
    _show(document)
    for name, svg in plots.draw(document).items():
        (options.json.parent / f"{name}.svg").write_text(svg, encoding="utf-8")
    own = [r for r in document["results"] if r["tool"] not in PEERS]
    return int(any(r["state"] not in ("done", "did not finish", "not tried") for r in own))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Time prime_sql and other tools at the same job, and compare their answers.",
    )
    names = [*RECIPES, "imagenet_x", *growing()]
    parser.add_argument(
        "--only",
        action="append",
        metavar="DATA",
        choices=names,
        help=f"this data set (repeatable, in this order), of {', '.join(names)}",
    )
    parser.add_argument("--tool", action="append", choices=list(TOOLS), help="(repeatable)")
    parser.add_argument("--job", action="append", choices=JOBS, help="(repeatable)")
    parser.add_argument("--limit", type=float, default=600, help="seconds a tool has (600)")
    parser.add_argument("--memory", type=float, default=8, help="GB a tool has (8)")
    parser.add_argument("--budget", type=float, help="seconds for all; what is left is not tried")
    parser.add_argument("--data", metavar="DIR", help="keep the generated files in this folder")
    parser.add_argument("--json", type=Path, default=NUMBERS, help="where the numbers go")
    parser.add_argument("--plot-only", action="store_true", help="draw from the numbers again")
    parser.add_argument("--child", metavar="TOOL", help=argparse.SUPPRESS)
    parser.add_argument("--files", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    return parser


def _results(
    folder: Path, options: argparse.Namespace, console: Console
) -> Iterator[dict[str, Any]]:
    ends = time.monotonic() + options.budget if options.budget else float("inf")
    given_up: set[tuple[str, str]] = set()  # (tool, what grows): larger ones take longer still
    for job, name in _order(options):
        grows = name.rpartition("-")[0]
        tools = [
            tool
            for tool in TOOLS
            if tool in (options.tool or TOOLS)
            and (tool in plots.SHOWN or not grows)
            and job in TOOLS[tool].jobs
            and (tool, grows) not in given_up
        ]
        if not tools:
            continue
        if time.monotonic() > ends:
            for tool in tools:
                yield {"data": name, "job": job, "tool": tool, "state": "not tried"}
            continue
        made = _files(name, folder)
        if made is None:
            console.print(f"{name}: left out, {IMAGENET_X} is not there", highlight=False)
            continue
        rows = _rows(made)
        answers = folder / "answers"
        answers.mkdir(exist_ok=True)
        truth: Path | None = None
        for tool in tools:
            limits = {"limit_seconds": options.limit, "limit_gb": options.memory}
            result: dict[str, Any] = {"data": name, "job": job, "tool": tool, **rows, **limits}
            if time.monotonic() > ends:
                yield result | {"state": "not tried"}
                continue
            answer = answers / f"{list(TOOLS).index(tool)}.parquet"
            result |= _run(made, job, tool, answer, options)
            if result["state"] != "done":
                if grows:
                    given_up.add((tool, grows))
            elif truth is None:
                truth = answer
            else:
                result["state"] = _difference(truth, answer) or "done"
            seconds = f" {result['seconds']:.2f} s" if "seconds" in result else ""
            console.print(f"{name}, {job}, {tool}: {result['state']}{seconds}", highlight=False)
            yield result


def _kept(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Numbers of an earlier run for what is not asked for now: ratios are within one data set."""
    asked = list(_order(options))
    if not options.json.exists():
        return []
    results = json.loads(options.json.read_text(encoding="utf-8"))["results"]
    return [r for r in results if (r["job"], r["data"]) not in asked]


def _order(options: argparse.Namespace) -> Iterator[tuple[Job, str]]:
    """What is asked of which data: what people ask comes first, and the full enumeration last."""
    names = options.only or [*RECIPES, "imagenet_x", *growing()]
    for job in options.job or JOBS:
        for name in names:
            if job == JOBS[0] or name not in growing():
                yield job, name


def _files(name: str, folder: Path) -> Files | None:
    recipe = (RECIPES | growing()).get(name)
    if recipe is not None:
        return generate(recipe, folder)
    if not IMAGENET_X.exists():
        return None
    made = Files(folder / "imagenet_x-predictions.parquet", IMAGENET_X / "tags.parquet")
    # One of its four models; the class is one of a hundred coarse ones.
    pl.scan_parquet(IMAGENET_X / "predictions.parquet").filter(
        pl.col("model") == "ResNet50"
    ).select(
        "image_id", label="metaclass", prediction="predicted_metaclass"
    ).collect().write_parquet(made.predictions)
    return made


def _rows(made: Files) -> dict[str, int]:
    predictions, tags = pl.scan_parquet(made.predictions), pl.scan_parquet(made.tags)
    return {
        "images": predictions.select(pl.len()).collect().item(),
        "classes": predictions.select(pl.col("label").n_unique()).collect().item(),
        "tag_rows": tags.select(pl.len()).collect().item(),
    }


def _run(
    made: Files, job: str, tool: str, answer: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Run a tool in a process; return its seconds and rows, and how it ended."""
    command = [sys.executable, "-m", "benchmarks.peers", "--child", tool, "--job", job]
    command += ["--memory", str(options.memory), "--answer", str(answer)]
    command += ["--files", str(made.predictions), str(made.tags)]
    # The limit is for the work. A process starts and imports before, and checks nothing after.
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=options.limit + 20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"state": "did not finish", "limit": options.limit}
    if ended.returncode == 0:
        result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        if result["seconds"] > options.limit:
            return {"state": "did not finish", "limit": options.limit}
        return {"state": "done"} | result
    complained = ended.stderr
    last = (complained.strip().splitlines() or ["no message"])[-1]
    if any(said in complained for said in NO_MEMORY):
        return {"state": "did not finish", "memory": options.memory}
    return {"state": f"failed: {last[:200]}"}


def _child(options: argparse.Namespace) -> int:
    tool, data = TOOLS[options.child], Files(*options.files)
    for path in options.files:
        path.read_bytes()  # nobody waits for the disk
    tool.prepare()
    most = int(options.memory * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    started, cpu_started = time.perf_counter(), time.process_time()
    found = tool.answer(data, Question(options.job[0], options.memory))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    found.sort("class_name", "tags").write_parquet(options.answer)
    measured = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}
    print(json.dumps({**measured, "rows": found.height}))
    return 0


def _difference(truth: Path, answer: Path) -> str:
    """Where an answer differs from that of the first tool, in words; nothing where it does not."""
    ours, theirs = pl.read_parquet(truth), pl.read_parquet(answer)
    if ours.equals(theirs):
        return ""
    keys = ["class_name", "tags"]
    missing = ours.join(theirs, on=keys, how="anti").height
    extra = theirs.join(ours, on=keys, how="anti").height
    both = ours.join(theirs, on=keys)
    other = both.filter(
        (pl.col("images") != pl.col("images_right")) | (pl.col("errors") != pl.col("errors_right"))
    ).height
    return (
        f"differs: {missing:,} of {ours.height:,} sets are missing, {extra:,} too many, "
        f"{other:,} have other counts"
    )


def _environment(options: argparse.Namespace) -> dict[str, Any]:
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 1),
        "packages": packages,
    }


def _show(document: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    grown = {r["data"].rpartition("-")[0] for r in document["results"]}
    for job, grows in itertools.product(JOBS, sorted(grown)):
        results = [
            r
            for r in document["results"]
            if r["job"] == job and r["data"].rpartition("-")[0] == grows
        ]
        if not results:
            continue
        table = Table(title=f"seconds for {job}, from files to the answer")
        table.add_column("tool")
        names = list(dict.fromkeys(r["data"] for r in results))
        for name in names:
            table.add_column(name, justify="right")
        asked = {r["tool"] for r in results}
        for tool in (tool for tool in TOOLS if tool in asked):
            cells = [[r for r in results if (r["data"], r["tool"]) == (n, tool)] for n in names]
            table.add_row(tool, *(_cell(found[0]) if found else "" for found in cells))
        for measure in ("NumPy reference", "fastest peer", "fastest peer, on errors"):
            table.add_row(
                f"prime_sql to the {measure}", *(_ratio(results, n, measure) for n in names)
            )
        console.print(table)
    for r in document["results"]:
        if r["state"] not in ("done", "not tried", "did not finish"):
            console.print(f"{r['tool']}, {r['data']}, {r['job']}: {r['state']}", highlight=False)


def _cell(result: dict[str, Any]) -> str:
    if "seconds" not in result:
        reason = {"did not finish": "–", "not tried": "not tried"}.get(result["state"], "failed")
        if "limit" in result:
            return f"> {result['limit']:.0f}"
        return f"> {result['memory']:.0f} GB" if "memory" in result else reason
    return f"{result['seconds']:.2f}" + ("" if result["state"] == "done" else " *")


def _ratio(results: list[dict[str, Any]], name: str, measure: str) -> str:
    """How much longer the reference or the fastest peer with the right answer takes.

    What is "on errors" was lent our bound; a peer is what it is without.
    """
    seconds = {
        r["tool"]: r["seconds"] for r in results if r["data"] == name and r["state"] == "done"
    }
    ours = seconds.get("prime_sql")
    if ours is None:
        return ""
    if measure in seconds:
        return f"{ours / seconds[measure]:.2f}×"
    lent = measure.endswith("on errors")
    peers = [seconds[t] for t in PEERS if t in seconds and t.endswith("on errors") == lent]
    if peers:
        return f"{min(peers) / ours:.1f}× as fast"
    if lent:
        return ""
    limits = [r["limit"] for r in results if r["data"] == name and "limit" in r]
    return f"> {max(limits) / ours:.0f}× as fast" if limits else ""


if __name__ == "__main__":
    sys.exit(main())
