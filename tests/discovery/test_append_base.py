"""The run that an append begins with: what cannot be appended, and what is left then."""

import json
import os
import signal
import subprocess
import sys

import duckdb
import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.discovery.nights import FIRST, SMALL, images, listed, rows_of
from tests.stored import contents

pytestmark = [
    pytest.mark.usefixtures("counts_are_kept"),
    pytest.mark.filterwarnings("ignore::prime_sql.InputWarning"),
]


@pytest.mark.parametrize(
    ("error", "message", "given"),
    [
        (ps.OptionError, "a greedy search cannot be appended to", {"method": "greedy"}),
        (
            ps.OptionError,
            "unseen images of earlier runs are not stored",
            {"split": "prediction", "find": "ape", "check": "not"},
        ),
        (
            ps.OptionError,
            "a search whose condition asks another table",
            {"where": "image_id in (select image_id from other)"},
        ),
        (ps.StoredCountsError, "with min_images 4 there, 5 here; append with", {"min_images": 5}),
        (
            ps.StoredCountsError,
            "no run of job 'b' to append to; there are runs of 'a': search everything",
            {"job": "b"},
        ),
        (
            ps.StoredCountsError,
            "no run without a job to append to; there are runs of 'a'",
            {"job": None},
        ),
        (
            ps.InputError,
            "1 images are both in remove and in the new predictions, for example 'c00'",
            {"remove": listed(["c00", "a00"])},
        ),
        (ps.InputError, "remove.image_id is null in 1 rows", {"remove": listed([None])}),
        (
            ps.InputError,
            "remove has no column 'image_id'.*It has: image",
            {"remove": listed([]).rename({"image_id": "image"})},
        ),
        (
            ps.InputError,
            "1 tag rows, for example image 'zz', against 17 images",
            {"tags": rows_of({}, {"zz": {"hang"}})[1]},
        ),
        (
            ps.InputError,
            "predictions.image_id is not unique",
            {"predictions": pl.concat([rows_of(*images("c", 3))[0]] * 2)},
        ),
    ],
)
def test_what_cannot_be_appended_leaves_the_database_as_it_was(tmp_path, error, message, given):
    path = tmp_path / "prime.duckdb"
    ps.search(*rows_of(*FIRST), into=path, job="a", **SMALL).close()
    before = contents(path)
    predictions, tags = rows_of(*images("c", 3, "hang"))
    tables = [given.get("predictions", predictions), given.get("tags", tags)]
    others = {key: value for key, value in given.items() if key not in ("predictions", "tags")}
    with pytest.raises(error, match=message):
        ps.search(*tables, into=path, append=True, **{**SMALL, "job": "a", **others})
    assert contents(path) == before


def test_several_runs_that_could_be_meant(tmp_path):
    for name in ("a", "b"):
        rows_of(*FIRST)[0].write_parquet(tmp_path / f"{name}.parquet")
    path, tags = tmp_path / "prime.duckdb", rows_of(*FIRST)[1]
    for name in ("a", "b"):
        ps.search(tmp_path / f"{name}.parquet", tags, into=path, **SMALL).close()
    with pytest.raises(ps.StoredCountsError, match=r"several runs.*1 \(.*2 \(.*open_run"):
        ps.search(None, None, into=path, append=True, **SMALL)
    with ps.open_run(path, 1, read_only=False) as run, run.append() as grown:
        assert grown.sources["appended_to"] == "run 1"


def test_a_database_of_an_earlier_version(tmp_path):
    path = tmp_path / "runs.duckdb"
    ps.search(*rows_of(*FIRST), into=path, **SMALL).close()
    with duckdb.connect(path) as con:
        counts = json.loads(con.sql("select row_counts from prime.runs").fetchall()[0][0])
        del counts["rare_tags"]
        con.execute("update prime.runs set row_counts = ?", [json.dumps(counts)])
        con.execute("drop table prime.rare_tags")
    with pytest.raises(ps.StoredCountsError, match="did not store rare tags"):
        ps.search(None, None, into=path, append=True, **SMALL)
    ps.search(*rows_of(*FIRST), into=path, **SMALL).close()  # makes the table
    ps.search(None, None, into=path, append=True, **SMALL).close()
    assert ps.prune(path, keep=1).height == 2


def test_warnings_are_about_what_is_new():
    with ps.search(*rows_of(*FIRST), **SMALL) as run:
        predictions, tags = rows_of(*images("c", 2, "hang"))
        with pytest.warns(ps.InputWarning) as caught:
            run.append(predictions, tags.head(1), remove=listed(["a00", "zz"]))
    assert data.warned(caught) == [
        "1 of 2 images to remove are not in run 1, for example 'zz'",
        "1 of 2 images have no tag; they count for their class only",
    ]


KILLED = """
import os, signal, sys
import prime_sql as ps

def on_sql(statement):
    if statement.step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with ps.open_run(sys.argv[1], read_only=False) as run:
    run.append(None, None, on_sql=on_sql)
"""


@pytest.mark.parametrize("moment", ["tag_counts", "passing_2", "publish"])
def test_a_killed_process_leaves_the_database_as_it_was(tmp_path, moment):
    path = tmp_path / "prime.duckdb"
    ps.search(*rows_of(*FIRST), into=path, **SMALL).close()
    before = contents(path)
    command = [sys.executable, "-c", KILLED, path, moment]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert contents(path) == before


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = {"first": FIRST, "night": images("c", 3, "hang", errors=3)}
    for name, rows in tables.items():
        for kind, table in zip(("predictions", "tags"), rows_of(*rows), strict=True):
            table.write_csv(f"{name}_{kind}.csv")
    listed(["a00"]).write_csv("gone.csv")
    command = ["search", "first_predictions.csv", "first_tags.csv", "--db", "p.duckdb"]
    night = ["search", "night_predictions.csv", "night_tags.csv", "--db", "p.duckdb", "--append"]
    flags = ["--min-images", "4", "--format", "csv"]
    assert "there is no run to append to yet: search everything" in fail(*night, *flags)
    assert not os.path.exists("p.duckdb")  # noqa: PTH110
    succeed(*command, *flags)
    assert "ape,hang,1,7,7" in succeed(*night, "--remove", "gone.csv", *flags).stdout
    assert "ape,hang,1,7,7" in succeed("search", "--append", "--db", "p.duckdb", *flags).stdout
    assert "add --append" in fail(*command, "--remove", "gone.csv")
    assert "name its database" in fail("search", "--append")
    assert "does not go with --from-run" in fail(*night, "--from-run", "latest")
