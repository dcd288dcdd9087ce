"""The same job for each tool: two Parquet files in, tag sets with their counts out.

The two jobs are defined in ``benchmarks/README.md``. What a library is asked for is the search: the
tag sets of a class. All that comes before and after (reading, the matrix of a class, the conditions
of a failure mode) is the NumPy reference's code, the same for all of them, and so are the counts
that a library does not give. That can only make them look faster than they are in use.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Literal

import numpy as np
import polars as pl

from benchmarks import reference
from benchmarks.datasets import Files
from benchmarks.reference import Bitsets, Bools, Ints, Sets

Job = Literal["failure modes", "all tag sets"]

JOBS: tuple[Job, ...] = ("failure modes", "all tag sets")


@dataclass(frozen=True)
class Question:
    """What is asked; the thresholds are those of `prime_sql.search`, the memory is in GB."""

    job: Job
    memory: float | None = None
    max_tags: int = 4
    min_images: int = 30
    min_drop: float = 0.30
    necessity: tuple[float, ...] = (0.10, 0.05, 0.025)


@dataclass(frozen=True)
class Class:
    """One class as a library gets it.

    Attributes
    ----------
    carried
        Which image carries which of the frequent tags: (tags, images).
    error
        Which images are misclassified: (images,).
    bitsets
        The same as bitsets, to count what a library does not.
    fewest_errors
        Of a failure mode in this class; 0 where all tag sets are asked for.
    """

    carried: Bools
    error: Bools
    bitsets: Bitsets
    fewest_errors: int


# Tag sets of a class, size by size; more than the answer does no harm, they are sifted afterwards.
Miner = Callable[[Class, Question], list[Sets]]


@dataclass(frozen=True)
class Tool:
    """A way to get the answer.

    Attributes
    ----------
    answer
        From the files to class_name, tags, images, errors.
    prepare
        Imports what it needs, and compiles it: not timed, as it is done once a process.
    jobs
        The jobs that it can do at all.
    """

    answer: Callable[[Files, Question], pl.DataFrame]
    prepare: Callable[[], object]
    jobs: tuple[Job, ...] = JOBS


def _by_class(miner: Miner, data: Files, question: Question) -> pl.DataFrame:
    tables = reference.load(data.predictions, data.tags)
    names = np.array(tables.tag_names, dtype=object)
    found: list[pl.DataFrame] = []
    for number, class_name in enumerate(tables.class_names):
        images = slice(tables.first_image[number], tables.first_image[number + 1])
        error = tables.error[images]
        tags, carried = reference.class_tags(tables, number, error, question.min_images)
        if not len(tags):
            continue
        modes = question.job == "failure modes"
        rate = float(error.mean())
        fewest = reference.fewest_errors(rate, question.min_images, question.min_drop)
        group = Class(carried, error, Bitsets.of(carried, error), fewest if modes else 0)
        for sets in miner(group, question):
            kept = _sifted(group, sets, question) if modes else _frequent(sets, question)
            found.extend(_frame(class_name, names[tags], *kept))
    return pl.concat([_frame_of([], [], [], []), *found])


def _frequent(sets: Sets, question: Question) -> Sets:
    members, images, errors = sets
    kept = images >= question.min_images
    return members[kept], images[kept], errors[kept]


def _sifted(group: Class, sets: Sets, question: Question) -> Sets:
    """The failure modes among tag sets of one size."""
    members, images, errors = _frequent(sets, question)
    rate = float(group.error.mean())
    low = errors / images >= rate + question.min_drop - reference.TOLERANCE
    members, images, errors = members[low], images[low], errors[low]
    kept = reference.necessary(group.bitsets, members, images, errors, rate, question.necessity)
    return members[kept], images[kept], errors[kept]


def _frame(class_name: str, names: Any, members: Ints, images: Ints, errors: Ints) -> Any:
    if len(members):
        # Tags in code point order, whatever order a library gives them.
        tags = [" + ".join(row) for row in np.sort(names[members].astype(str), axis=1)]
        yield _frame_of([class_name] * len(tags), tags, images, errors)


def _frame_of(class_name: Any, tags: Any, images: Any, errors: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {"class_name": class_name, "tags": tags, "images": images, "errors": errors},
        schema={
            "class_name": pl.String,
            "tags": pl.String,
            "images": pl.Int64,
            "errors": pl.Int64,
        },
    )


# the NumPy reference ------------------------------------------------------------------------------


def _reference(data: Files, question: Question) -> pl.DataFrame:
    if question.job == "all tag sets":
        return _by_class(_all_by_bitsets, data, question)
    thresholds = {
        name: getattr(question, name)
        for name in ("max_tags", "min_images", "min_drop", "necessity")
    }
    modes = reference.search(data.predictions, data.tags, **thresholds).modes
    return _frame_of(
        [mode.class_name for mode in modes],
        [" + ".join(mode.tags) for mode in modes],
        [mode.images for mode in modes],
        [mode.errors for mode in modes],
    )


def _all_by_bitsets(group: Class, question: Question) -> list[Sets]:
    # The search prunes by the first of two bitsets and counts the second: here all images come
    # first, and the errors among them second.
    every = reference.pack(group.carried)
    bitsets = Bitsets(every, reference.pack(group.carried & group.error))
    return [
        (members, images, both - images)
        for members, both, images in reference.depth_first(
            bitsets, question.min_images, question.max_tags
        )
    ]


# prime_sql ----------------------------------------------------------------------------------------


def _prepare_prime_sql(*, portable: bool) -> None:
    ps = importlib.import_module("prime_sql")
    if portable:
        importlib.import_module("prime_sql.engine.session").Session.plans = None
    # The templates of its SQL are compiled where they are first used.
    images = range(8)
    predictions = pl.DataFrame({"image_id": images, "label": "a", "prediction": ["a", "b"] * 4})
    tags = pl.DataFrame({"image_id": images, "tag": "x"})
    with ps.search(predictions, tags, min_images=2) as run:
        run.failure_modes.to_polars()


def _prime_sql(data: Files, question: Question) -> pl.DataFrame:
    ps = importlib.import_module("prime_sql")
    files = str(data.predictions), str(data.tags)
    columns = "class_name", "tags", "images", "errors"
    # DuckDB would take what the machine has. Half of the memory, as what it gave back counts, too.
    limit = f"{question.memory / 2}GB" if question.memory else None
    search = partial(ps.search, *files, memory_limit=limit)
    if question.job == "failure modes":
        run = search(
            max_tags=question.max_tags,
            min_images=question.min_images,
            min_drop=question.min_drop,
            necessity=question.necessity,
        )
        return pl.DataFrame(run.failure_modes.to_polars().select(columns))
    # It counts the sets with many errors only. So ask twice, once with right and wrong exchanged:
    # a set on enough images has its share of one or of the other. One image less and the smallest
    # drop, because a share of exactly the class's would have a drop of 0.
    wide = {
        "max_tags": question.max_tags,
        "min_images": max(question.min_images - 1, 1),
        "min_tag_images": question.min_images,
        "min_drop": 0.001,
    }
    wrong = search(**wide).tag_sets.to_polars()
    right = search(**wide, error="label = prediction").tag_sets.to_polars()
    right = right.with_columns(errors=pl.col("images") - pl.col("errors"))
    both = pl.concat([wrong.select(columns), right.select(columns)])
    both = both.filter(pl.col("images") >= question.min_images)
    return pl.DataFrame(both.unique(subset=["class_name", "tags"]))


# mlxtend ------------------------------------------------------------------------------------------


def _mlxtend(group: Class, question: Question) -> list[Sets]:
    """Frequent sets of all images, then their errors."""
    return _counted(group, _fpgrowth(group.carried, question.min_images, question.max_tags))


def _mlxtend_on_errors(group: Class, question: Question) -> list[Sets]:
    """Sets with enough errors by mining the errors alone, then their images: our own idea."""
    wrong = group.carried[:, group.error]
    if wrong.shape[1] < group.fewest_errors:
        return []
    return _counted(group, _fpgrowth(wrong, group.fewest_errors, question.max_tags))


def _fpgrowth(carried: Bools, least: int, max_tags: int) -> list[tuple[int, ...]]:
    pd = importlib.import_module("pandas")
    miner = importlib.import_module("mlxtend.frequent_patterns")
    # Half an image less, so that rounding never puts a set below the share.
    share = (least - 0.5) / carried.shape[1]
    found = miner.fpgrowth(pd.DataFrame(carried.T), min_support=share, max_len=max_tags)
    return [tuple(sorted(tags)) for tags in found["itemsets"]]


def _counted(group: Class, tag_sets: list[tuple[int, ...]]) -> list[Sets]:
    return [(members, *group.bitsets.count(members)) for members in _by_size(tag_sets)]


def _by_size(tag_sets: list[tuple[int, ...]]) -> list[Ints]:
    ordered = sorted(tag_sets, key=len)
    return [np.array(list(sets), dtype=np.int64) for _, sets in groupby(ordered, key=len)]


# pysubgroup ---------------------------------------------------------------------------------------


def _pysubgroup(group: Class, question: Question) -> list[Sets]:
    """Depth-first search on bit sets, pruned by images."""
    return _depth_first(group, question, fewest_errors=0)


def _pysubgroup_on_errors(group: Class, question: Question) -> list[Sets]:
    """The same, pruned by errors as well: our own idea."""
    return _depth_first(group, question, fewest_errors=group.fewest_errors)


def _depth_first(group: Class, question: Question, fewest_errors: int) -> list[Sets]:
    pd = importlib.import_module("pandas")
    subgroups = importlib.import_module("pysubgroup")
    columns = {str(tag): carried for tag, carried in enumerate(group.carried)}
    data = pd.DataFrame({**columns, "error": group.error})
    constraints: list[Any] = [subgroups.MinSupportConstraint(question.min_images)]
    if fewest_errors:
        constraints.append(_FewestErrors(fewest_errors))

    # Theirs are undefined on sets without errors, and would drop them.
    class Errors(subgroups.SimplePositivesQF):  # type: ignore[misc,name-defined]
        def evaluate(self, subgroup: Any, target: Any, data: Any, statistics: Any = None) -> int:
            return int(statistics.positives_count)

        def optimistic_estimate(
            self, subgroup: Any, target: Any, data: Any, statistics: Any = None
        ) -> float:
            return math.inf

    task = subgroups.SubgroupDiscoveryTask(
        data,
        subgroups.BinaryTarget("error", True),
        [subgroups.EqualitySelector(name, True) for name in columns],
        Errors(),
        result_set_size=sys.maxsize,
        depth=question.max_tags,
        constraints=constraints,
    )
    found: dict[int, list[tuple[tuple[int, ...], int, int]]] = {}
    for _, conjunction, statistics in subgroups.DFS().execute(task).results:
        tags = tuple(int(selector.attribute_name) for selector in conjunction.selectors)
        if tags:  # the class itself is a subgroup, too
            row = tags, int(statistics.size_sg), int(statistics.positives_count)
            found.setdefault(len(tags), []).append(row)
    return [
        (np.array(members), np.array(images), np.array(errors))
        for members, images, errors in (zip(*rows, strict=True) for rows in found.values())
    ]


class _FewestErrors:
    """A constraint of pysubgroup: errors only fall as a set grows."""

    is_monotone = True

    def __init__(self, fewest: int) -> None:
        self._fewest = fewest

    def is_satisfied(self, subgroup: Any, statistics: Any, data: Any) -> bool:
        return bool(statistics.positives_count >= self._fewest)


# sliceline ----------------------------------------------------------------------------------------


def _sliceline(group: Class, question: Question) -> list[Sets]:
    """Slices with a positive score at alpha 1: those less accurate than their class."""
    if not group.error.any() or group.error.all():
        return []
    module: Any = importlib.import_module("sliceline.slicefinder")
    encoder = importlib.import_module("sklearn.preprocessing").OneHotEncoder
    # Absent tags would be slices as well. An encoder that knows only "present" leaves them out.
    present = [np.array([1])] * len(group.carried)
    module.OneHotEncoder = partial(encoder, categories=present)
    finder = module.Slicefinder(
        alpha=1, k=sys.maxsize, max_l=question.max_tags, min_sup=question.min_images, verbose=False
    )
    finder.fit(group.carried.T.astype(np.int64), group.error.astype(np.float64))
    slices = [
        tuple(tag for tag, value in enumerate(row) if value is not None)
        for row in finder.top_slices_
    ]
    return _counted(group, slices)


# divexplorer --------------------------------------------------------------------------------------


def _divexplorer(group: Class, question: Question) -> list[Sets]:
    """Its FP-growth, which sums outcomes up; its public class would call it without max_len."""
    pd = importlib.import_module("pandas")
    miner = importlib.import_module("divexplorer.utils_FPgrowth")
    outcomes = pd.DataFrame({"errors": group.error.astype(np.int64)})
    found = miner.fpgrowth_cm(
        pd.DataFrame(group.carried.T),
        outcomes,
        min_support=(question.min_images - 0.5) / len(group.error),
        max_len=question.max_tags,
        columns_accumulate=["errors"],
    )
    images = np.rint(found["support"].to_numpy() * len(group.error)).astype(np.int64)
    rows = [tuple(sorted(tags)) for tags in found["itemset"]]
    errors = found["errors"].to_numpy().astype(np.int64)
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    return [
        (
            np.array([row for row in rows if len(row) == size], dtype=np.int64),
            images[sizes == size],
            errors[sizes == size],
        )
        for size in np.unique(sizes).tolist()
    ]


def _imports(*modules: str) -> Callable[[], object]:
    return lambda: [importlib.import_module(module) for module in modules]


def _tool(miner: Miner, *modules: str, jobs: tuple[Job, ...] = JOBS) -> Tool:
    return Tool(partial(_by_class, miner), _imports("pandas", *modules), jobs)


TOOLS: dict[str, Tool] = {
    "prime_sql": Tool(_prime_sql, partial(_prepare_prime_sql, portable=False)),
    "prime_sql, portable plan": Tool(_prime_sql, partial(_prepare_prime_sql, portable=True)),
    "NumPy reference": Tool(_reference, _imports("numpy")),
    "mlxtend fpgrowth": _tool(_mlxtend, "mlxtend.frequent_patterns"),
    "mlxtend fpgrowth, on errors": _tool(
        _mlxtend_on_errors, "mlxtend.frequent_patterns", jobs=("failure modes",)
    ),
    "pysubgroup": _tool(_pysubgroup, "pysubgroup"),
    "pysubgroup, on errors": _tool(_pysubgroup_on_errors, "pysubgroup", jobs=("failure modes",)),
    "sliceline": _tool(_sliceline, "sliceline.slicefinder", "sklearn", jobs=("failure modes",)),
    "divexplorer": _tool(_divexplorer, "divexplorer.utils_FPgrowth"),
}
# Those that users would reach for instead.
PEERS = tuple(name for name in TOOLS if not name.startswith(("prime_sql", "NumPy")))
