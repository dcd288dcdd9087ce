"""Runs of several nights, and of the tiny tables."""

import pytest

import prime_sql as ps
from prime_sql.questions import gates
from tests import tables as data
from tests.generated import frames
from tests.questions.nights import CHOSEN, NIGHTS, night, store


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    db = tmp_path_factory.mktemp("gates") / "prime.duckdb"
    store(NIGHTS, db, job="nightly")
    # Night 5: "tree" fails since the previous night, where it was counted; "hang" recovers.
    sky = ("ape", "sky", 320, 0)
    more = (
        night(("ape", "hang", 40, 24), ("ape", "tree", 40, 2), sky),
        night(
            ("ape", "hang", 40, 0),
            ("ape", "tree", 40, 20),
            ("dog", "wing", 40, 30),
            ("dog", "sky", 99, 0),
            sky,
        ),
    )
    store(more, db, job="nightly")
    return db


@pytest.fixture
def line(tmp_path):
    predictions = data.write(data.PREDICTIONS, tmp_path / "p.csv")
    tags = data.write(data.TAGS, tmp_path / "t.csv")
    return ["search", predictions, tags, "--min-images", 4, "--max-tags", 2]


@pytest.fixture(scope="module")
def tripped():
    with ps.search(
        *frames(*night(("ape", "hang", 40, 30), ("ape", "sky", 160, 0))), **CHOSEN
    ) as run:
        (outcome,) = gates.judge(run, [gates.parse("true")])
        yield run, outcome


@pytest.fixture(scope="module")
def run():
    with data.search() as run:
        yield run


@pytest.fixture(scope="module")
def absent():
    """A run with modes of present and absent tags, and of absent ones only."""
    with data.search(max_absent=2, min_drop=0.1, necessity=(0.0,)) as run:
        yield run
