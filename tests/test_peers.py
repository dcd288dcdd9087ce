"""What `make bench-peers` compares: each tool against the oracle, and the plots of its numbers."""

import importlib.util
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from benchmarks import peers, plots
from benchmarks.adapters import JOBS, PEERS, TOOLS, Question
from benchmarks.datasets import Files
from prime_sql.engine.session import Session
from tests import oracle

MIN_IMAGES = 6


@pytest.fixture(scope="module")
def tables():
    """Three classes and seven tags: (class, image, error), (image, tag)."""
    rng = np.random.default_rng(6)
    outcomes, tags = [], []
    for number in range(240):
        carried = rng.random(7) < (0.6, 0.5, 0.5, 0.4, 0.3, 0.3, 0.05)
        carried[0] |= not carried.any()
        if carried[0] and carried[3]:
            carried[4] |= rng.random() < 0.5
        hard = (carried[1] and carried[2]) or (carried[5] and number % 3 == 0)
        outcomes.append(
            (f"class {number % 3}", f"n{number}", bool(rng.random() < (0.8 if hard else 0.1)))
        )
        tags += [(f"n{number}", f"tag {place}") for place in np.flatnonzero(carried)]
    return outcomes, tags


@pytest.fixture(scope="module")
def files(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    made = Files(folder / "predictions.parquet", folder / "tags.parquet")
    outcomes, tags = tables
    rows = [(image, name, "other" if error else name) for name, image, error in outcomes]
    schema = ["image_id", "label", "prediction"]
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(made.predictions)
    pl.DataFrame(tags, schema=["image_id", "tag"], orient="row").write_parquet(made.tags)
    return made


@pytest.mark.parametrize(("tool", "job"), [(t, job) for t in TOOLS for job in TOOLS[t].jobs])
def test_tool_does_the_job_of_the_oracle(tool, job, tables, files, monkeypatch):
    package = tool.split()[0].rstrip(",")
    if tool in PEERS and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} comes with make bench-peers")
    monkeypatch.setattr(Session, "plans", Session.plans)  # the portable plan is for one test
    question = Question(job, min_images=MIN_IMAGES)
    found = TOOLS[tool].answer(files, question)
    rows = {(name, tuple(tags.split(" + "))): counts for name, tags, *counts in found.rows()}
    assert len(rows) == found.height
    assert rows == {tag_set: list(counts) for tag_set, counts in expected(job, tables).items()}


def expected(job, tables):
    outcomes, tags = tables
    if job == "failure modes":
        modes = oracle.failure_modes(outcomes, tags, min_images=MIN_IMAGES)
        assert len(modes) > 3
        return {tag_set: (mode.images, mode.errors) for tag_set, mode in modes.items()}
    assert job in JOBS
    groups = oracle._classes(outcomes, tags, 4, MIN_IMAGES, None, 0)
    return {
        (group.name, tag_set): counts
        for group in groups
        for tag_set, counts in group.counts.items()
        if counts[0] >= MIN_IMAGES
    }


def test_plots_are_drawn_again_from_numbers():
    pytest.importorskip("altair")
    results = [
        {"data": f"images-{x}", "job": JOBS[0], "tool": tool, "state": state, "seconds": x / 1e4}
        for tool, state in (("prime_sql", "done"), ("divexplorer", "differs: all of them"))
        for x in (10_000, 100_000)
    ]
    (name, svg), *others = plots.draw({"results": results}).items()
    assert (name, others) == ("time_by_images", [])
    title = ElementTree.fromstring(svg).find("{*}title")
    assert "prime_sql 1 s at 10,000 and 10 s at 100,000" in title.text
    assert "divexplorer" not in svg  # a wrong answer is not plotted
    assert plots.draw({"results": results}) == {name: svg}


def test_a_peer_that_was_lent_our_bound_is_no_peer_as_it_comes():
    seconds = {"prime_sql": 2, "mlxtend fpgrowth, on errors": 3, "pysubgroup": 8, "divexplorer": 9}
    results = [
        {"data": "celeba", "tool": tool, "state": "done", "seconds": each}
        for tool, each in seconds.items()
    ]
    assert peers._ratio(results, "celeba", "fastest peer") == "4.0× as fast"
    assert peers._ratio(results, "celeba", "fastest peer, on errors") == "1.5× as fast"
