"""Commands over a warehouse: a URL instead of a database file, on PostgreSQL."""

import json

import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, succeed

TABLES = ("classes", "failure_modes", "failure_mode_tags", "tag_sets", "outcomes", "tagged", "runs")
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in data.OPTIONS.items()]


@pytest.fixture(scope="module")
def postgres(engines):
    engine = engines("postgres")
    engine.load("marts.predictions", pl.DataFrame(data.PREDICTIONS))
    engine.load("marts.tags", pl.DataFrame(data.TAGS))
    return engine


@pytest.fixture(scope="module")
def url(postgres):
    server = postgres.con.con.info
    return f"postgres://{server.user}@{server.host}:{server.port}/{server.dbname}"


def test_from_search_to_report(url, tmp_path):
    tables = ("marts.predictions", "marts.tags", "--warehouse", url, "--schema", "typed")
    first = succeed("search", *tables, *OPTIONS, "--job", "nightly")
    shown = url.replace("prime@", "")
    assert f"Run 1 is in {shown}#typed." in first.stderr
    assert "black + hang" in first.stdout
    again = succeed("search", *tables, *OPTIONS, "--job", "nightly", "--fail-on", "new")
    assert "Gate new: passed" in again.stderr
    place = f"{url}#typed"
    assert succeed("top", place).stdout == first.stdout
    rows = json.loads(succeed("runs", place, "--format", "json").stdout)
    assert [row["run_id"] for row in rows] == [1, 2]
    assert "toy" in succeed("history", place).stdout
    modes = json.loads(succeed("sql", place, "from failure_modes", "--format", "json").stdout)
    assert {mode["tags"] for mode in modes} == {"black + hang", "toy", "snow"}
    succeed("report", place, "-o", str(tmp_path / "report.html"))
    assert "black + hang" in (tmp_path / "report.html").read_text()
    narrower = succeed(
        *("search", "--warehouse", url, "--schema", "typed", "--from-run", "latest"),
        *("--min-drop", "0.5", "--format", "json"),
    )
    assert {mode["tags"] for mode in json.loads(narrower.stdout)} == {"black + hang"}
    gone = succeed("runs", place, "--prune", "--keep", "1", "--format", "json")
    assert [row["run_id"] for row in json.loads(gone.stdout)] == [1]
    said = succeed("report", place, "-o", str(tmp_path / "report.txt")).stderr
    assert "1 failure mode of run 3" in said


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("oracle://me:geheim@host/db", "Known: postgres://…"),
        ("postgres://me:geheim@127.0.0.1:1/db", "cannot connect to postgres://127.0.0.1:1/db"),
    ],
)
def test_a_warehouse_that_is_not_there(place, message):
    if place.startswith("postgres"):
        pytest.importorskip("psycopg", reason="make test-on-others installs it")
    for command in (("search", "p", "t", "--warehouse", place), ("top", place)):
        said = fail(*command)
        assert message in said
        assert "geheim" not in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--db", "x.duckdb"], "two places for one run"),
        (["--models", "a,b"], "--models does not go with --warehouse"),
        (["--append"], "name its database with --db"),
        (["--memory-limit", "1GB"], "settings of DuckDB"),
    ],
)
def test_what_does_not_go_with_a_warehouse(url, flags, message):
    assert message in fail("search", "marts.predictions", "marts.tags", "--warehouse", url, *flags)


def test_a_run_that_cannot_be_stored_leaves_nothing(postgres):
    names = ("marts.predictions", "marts.tags")
    with ps.search(*names, into=postgres.con, schema="narrow", **data.OPTIONS) as run:
        postgres.run("alter table narrow.runs add constraint one_run check (run_id < 2)")
        for again in (
            lambda: run.refilter(min_drop=0.5),
            lambda: ps.search(*names, into=postgres.con, schema="narrow", **data.OPTIONS),
        ):
            with pytest.raises(ps.WarehouseError, match="one_run"):
                again()
            for table in TABLES:
                rows = postgres.run(f"select run_id from narrow.{table}")
                assert set(rows["run_id"]) == {1}
        assert run.sql("select max(run_id) as last from prime.runs").to_polars()["last"][0] == 1
        postgres.run("alter table narrow.runs drop constraint one_run")
        assert run.refilter(min_drop=0.5).run_id == 2
