"""Runs of one job after another: what changed, accuracy over the last runs, and pruning."""

import duckdb

import prime_sql as ps
from tests import data
from tests.test_cli import fail, succeed


def test_a_run_carries_the_name_of_its_job(tmp_path):
    predictions = data.write(data.PREDICTIONS, tmp_path / "p.csv")
    tags = data.write(data.TAGS, tmp_path / "t.csv")
    db, line = tmp_path / "a.duckdb", ["search", predictions, tags, "--min-images", 4, "--db"]
    succeed(*line, db)
    assert " job " not in succeed("runs", db).stdout
    succeed(*line, db, "--job", "every night's")
    succeed("search", "--from-run", 1, "--db", db, "--min-drop", 0.4, "--job", "strict")
    with ps.open_run(db, read_only=False) as run:
        assert run.job == "strict"
        assert run.refilter(min_drop=0.5).job is None
    assert ps.runs(db)["job"].to_list() == [None, "every night's", "strict", None]
    assert "every night's" in succeed("runs", db).stdout
    assert "job must be non-empty text, got ' '" in fail(*line, tmp_path / "b.duckdb", "--job", " ")
    assert not (tmp_path / "b.duckdb").exists()


def test_a_database_made_before_there_were_jobs_is_read_and_gets_the_column(tmp_path):
    db = tmp_path / "a.duckdb"
    data.search(into=db).close()
    with duckdb.connect(db) as connection:
        connection.execute("alter table a.prime.runs drop column job")
    with ps.open_run(db) as run:
        assert (run.job, run.failure_modes.to_polars().height) == (None, 3)
    assert ps.runs(db)["job"].to_list() == [None]
    data.search(into=db, job="nightly").close()
    assert ps.runs(db)["job"].to_list() == [None, "nightly"]
