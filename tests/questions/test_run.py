"""Runs in a database: relations, SQL, and connections."""

import json

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.engine.session import Session
from tests.stored import THRESHOLDS, rows

DESIGN = {  # the columns of DESIGN section 3
    "failure_modes": [
        "run_id",
        "mode_id",
        "class_name",
        "tags",
        "tag_count",
        "images",
        "errors",
        "accuracy",
        "class_images",
        "class_errors",
        "class_accuracy",
        "accuracy_drop",
        "excess_errors",
        "error_coverage",
    ],
    "classes": ["run_id", "class_id", "class_name", "images", "errors", "accuracy"],
    "failure_mode_tags": [
        "run_id",
        "mode_id",
        "tag",
        "present",
        "accuracy_without",
        "necessity_margin",
    ],
    "failure_mode_images": ["run_id", "mode_id", "image_id", "label", "prediction", "error"],
    "tag_sets": [
        "run_id",
        "class_name",
        "tags",
        "tag_count",
        "tag_1",
        "tag_2",
        "tag_3",
        "tag_4",
        "tag_5",
        "tag_6",
        "images",
        "errors",
        "accuracy",
        "necessity_margin",
    ],
}


@pytest.fixture
def run(example):
    with ps.search(*example, **THRESHOLDS) as run:
        yield run


def test_relations_have_the_columns_of_the_design(run):
    for name, columns in DESIGN.items():
        relation = getattr(run, name)
        assert list(relation.columns) == columns
        assert isinstance(relation.table, ibis.Table)
        polars, pandas, arrow = relation.to_polars(), relation.to_pandas(), relation.to_arrow()
        assert isinstance(polars, pl.DataFrame)
        assert isinstance(pandas, pd.DataFrame)
        assert isinstance(arrow, pa.Table)
        assert polars.height == len(pandas) == arrow.num_rows > 0
        assert polars.columns == list(pandas.columns) == arrow.column_names == columns


def test_failure_modes_of_the_example(run):
    modes = run.failure_modes.to_polars()
    assert modes.select("class_name", "tags", "images", "errors").rows() == [
        ("ape", "branch + hang", 8, 8),  # both have 6 excess errors: then by class and tags
        ("ape", "hang", 16, 10),
    ]
    mode = modes.row(0, named=True)
    assert mode["accuracy_drop"] == pytest.approx(0.75)
    assert mode["excess_errors"] == pytest.approx(8 - 8 * 10 / 40)
    assert mode["error_coverage"] == pytest.approx(0.8)
    margins = run.sql(
        f"select tag, accuracy_without from failure_mode_tags where mode_id = '{mode['mode_id']}' "
        "order by tag"
    ).to_polars()
    assert margins.rows() == [("branch", pytest.approx(6 / 16)), ("hang", pytest.approx(10 / 18))]


def test_relations_join_with_ibis_and_with_each_other(run):
    table = run.failure_mode_images.table.join(run.failure_modes.table, "mode_id")
    wrong = table.filter(table.tags == "hang").error.sum().to_pyarrow().as_py()
    assert wrong == 10
    top = run.sql("select mode_id from failure_modes order by accuracy limit 1").table
    assert run.failure_mode_images.table.semi_join(top, "mode_id").count().to_pyarrow().as_py() == 8


@pytest.mark.parametrize("listens", [False, True])
def test_a_script_that_fails_names_its_step_and_the_statement(listens):
    seen = []
    warehouse = Session(ibis.duckdb.connect(), seen.append if listens else None)
    script = "create table a (x integer);\n\ninsert into a values (1), (2);\ninsert into b select 1"
    with pytest.raises(ps.WarehouseError) as caught:
        warehouse.script("publish", script + ";\ndrop table a")
    assert str(caught.value).startswith("step publish failed: Catalog Error: Table with name b")
    assert str(caught.value).endswith("\n\nSQL of the step:\ninsert into b select 1")
    assert warehouse.execute("count", "select count(*) from a") == [(2,)]
    if listens:
        assert [(each.step, each.sql, each.rows) for each in seen[:-1]] == [
            ("publish", "create table a (x integer)", None),
            ("publish", "insert into a values (1), (2)", 2),
        ]
    with pytest.raises(ps.WarehouseError, match=r"step publish failed: Parser(.|\n)*selec 1"):
        warehouse.script("publish", "create table c (x integer); selec 1")


def comments(run):
    tables = run.backend.raw_sql(
        "select table_name, comment from duckdb_tables() where schema_name = 'prime' union all "
        "select view_name, comment from duckdb_views() where schema_name = 'prime'"
    ).fetchall()
    columns = run.backend.raw_sql(
        "select table_name, column_name, comment from duckdb_columns() where schema_name = 'prime'"
    ).fetchall()
    assert {*DESIGN, "runs"} <= {name for name, _ in tables}
    return [*tables, *columns]


def test_every_table_and_column_carries_a_comment(example, tmp_path):
    with ps.search(*example, into=tmp_path / "a.duckdb", **THRESHOLDS) as run:
        assert [row for row in comments(run) if not row[-1]] == []


def test_a_database_in_memory_has_no_comments(run):
    """Nobody browses it, and they would be most of the statements of a small search."""
    assert [row for row in comments(run) if row[-1]] == []


def test_sql_means_this_run_and_prime_means_all(example, tmp_path):
    path = tmp_path / "prime.duckdb"
    ps.search(*example, into=path, **THRESHOLDS).close()
    with ps.search(*example, into=path, min_images=4, min_drop=0.5) as second:
        assert second.run_id == 2
        assert second.sql("select count(*) as n from failure_modes").to_polars().item() == 1
        assert second.sql("select count(*) as n from prime.failure_modes").to_polars().item() == 3
        with_comment = "with x as (select * from classes) select images from x order by 1 -- end"
        assert second.sql(with_comment).to_polars()["images"].to_list() == [20, 40]
        # A table of the user's own with the name of a relation keeps its meaning inside his views.
        second.backend.raw_sql(
            "create table classes as select 7 as n; create view mine as select n from classes"
        )
        assert second.sql("select n from mine, classes limit 1").to_polars().item() == 7
        with pytest.raises(ps.QueryError, match="tagz"):
            second.sql("select tagz from failure_modes").to_polars()
    with ps.open_run(path, 1) as first:
        assert first.failure_modes.to_polars().height == 2
        with pytest.raises(ps.WarehouseError, match="read_only=False"):
            first.refilter(min_drop=0.5)
    with pytest.raises(ps.QueryError, match="no run 9"):
        ps.open_run(path, 9)
    for odd in ("1", True):
        with pytest.raises(ps.QueryError, match=f"there is no run {odd!r}; give its number"):
            ps.open_run(path, odd)


def test_runs_record_how_they_came_about(example, tmp_path):
    predictions, tags = example
    predictions.write_parquet(tmp_path / "p.parquet")
    path = tmp_path / "prime.duckdb"
    ps.search(tmp_path / "p.parquet", tags, into=path, where="label <> 'cow'", **THRESHOLDS).close()
    row = ps.runs(path).row(0, named=True)
    assert row["status"] == "complete"
    assert row["version"] == ps.__version__
    assert ps.Options.from_json(row["options"]) == ps.Options(where="label <> 'cow'", **THRESHOLDS)
    assert json.loads(row["sources"])["predictions"].endswith("p.parquet")
    counts = json.loads(row["row_counts"])
    assert counts["predictions"] == counts["images"] == 60
    assert counts["tag_rows"] == tags.height
    assert counts["failure_modes"] == 2
    assert {"predictions", "candidates_1", "candidates_4", "tag_sets"} <= set(
        json.loads(row["seconds"])
    )


def test_sources_lose_their_credentials():
    from prime_sql.engine.sources import describe

    assert "secret" not in describe("s3://key:secret@bucket/p.parquet")
    assert "secret" not in describe("https://host/p.parquet?token=secret&x=1")
    assert "secret" not in describe("postgres://me:se/cret@host/db".replace("se/cret", "secret"))


def test_two_runs_append_and_connections_can_stay_open(example, tmp_path):
    path = tmp_path / "prime.duckdb"
    first = ps.search(*example, into=path, **THRESHOLDS)
    second = ps.search(*example, into=path, **THRESHOLDS)
    assert (first.run_id, second.run_id) == (1, 2)
    assert_frame_equal(rows(first.failure_modes), rows(second.failure_modes))
    assert first.failure_modes.to_polars()["run_id"].to_list() == [1, 1]
    assert ps.runs(path)["run_id"].to_list() == [1, 2]
    with ps.open_run(path, 1) as again:
        assert_frame_equal(rows(again.tag_sets), rows(first.tag_sets))
    first.close()
    second.close()
    assert ps.runs(path)["run_id"].to_list() == [1, 2]


def test_into_a_connection_of_the_user(example):
    connection = ibis.duckdb.connect()
    connection.create_table("orders", pl.DataFrame({"image_id": ["i0", "i1"], "cost": [3, 4]}))
    run = ps.search(*example, into=connection, **THRESHOLDS)
    joined = run.failure_mode_images.table.join(connection.table("orders"), "image_id")
    assert joined.cost.sum().to_pyarrow().as_py() == 14
    leftovers = set(connection.list_tables()) - {"orders"}
    assert leftovers == set()


def test_a_connection_of_the_user_keeps_its_place_and_stays_open(example, tmp_path):
    connection = ibis.duckdb.connect(tmp_path / "one.duckdb")
    connection.raw_sql(f"attach '{tmp_path / 'two.duckdb'}' as two; use two")
    with ps.search(*example, into=connection, **THRESHOLDS) as run:
        with run.refilter(min_drop=0.5) as stricter:
            assert stricter.failure_modes.to_polars().height == 1
        assert run.failure_modes.to_polars().height == 2
    assert connection.current_catalog == "two"
    assert "runs" in connection.list_tables(database=("two", "prime"))
    assert "prime" not in connection.list_databases(catalog="one")


def test_a_connection_in_a_transaction_is_refused_at_once(example):
    connection = ibis.duckdb.connect()
    connection.raw_sql("begin transaction")
    with pytest.raises(ps.WarehouseError, match="commit it or roll it back"):
        ps.search(*example, into=connection, **THRESHOLDS)
    connection.raw_sql("rollback")
    ps.search(*example, into=connection, **THRESHOLDS)


@pytest.mark.parametrize("name", ["prime.duckdb", "other.duckdb"])
def test_queries_in_all_their_forms(example, tmp_path, name):
    with ps.search(*example, into=tmp_path / name, **THRESHOLDS) as run:
        for query in (
            "select tags from failure_modes;",
            "select tags from failure_modes; -- done",
            "from failure_modes select tags;;",
            "with failure_modes as (select 'a' as tags union all select 'b') from failure_modes",
            "select tags from prime.failure_modes where tags <> 'prime.x'",
            "table failure_modes",
        ):
            assert run.sql(query).to_polars().height == 2, query
        assert run.sql("select run_id, version from runs").to_polars().height == 1
        assert run.sql("describe failure_modes").to_polars().height == 14
        for query in (
            "",
            ";",
            "select 1; select 2",
            "drop table prime.runs",
            "delete from prime.runs",
        ):
            with pytest.raises(ps.QueryError):
                run.sql(query)


def test_on_sql_sees_every_statement_with_rows_and_seconds(example):
    statements, events = [], []
    with ps.search(
        *example, on_sql=statements.append, on_progress=events.append, **THRESHOLDS
    ) as run:
        assert {s.step for s in statements} >= set(run.seconds)
    assert all(s.sql and s.seconds >= 0 for s in statements)
    rows_of = {s.step: s.rows for s in statements if s.step != "publish"}
    assert rows_of["outcomes"] == 60
    sizes = [event.size for event in events if event.step == "tag sets" and event.count is None]
    assert sizes == [1, 2, 3, 4]
    assert events[-1].done == events[-1].total
    counts = [
        event.count for event in events if event.step == "tag sets" and event.count is not None
    ]
    assert counts == [rows_of[f"candidates_{size}"] for size in sizes]


def test_an_engine_error_carries_step_and_sql(example, monkeypatch):
    from prime_sql.engine import queries

    real = queries.find

    def broken(name, plans=None):
        query = real(name, plans)
        if name != "discovery/tagged":
            return query
        return type(query)(**{**query.__dict__, "template": "select * from nowhere"})

    monkeypatch.setattr(queries, "find", broken)
    with pytest.raises(ps.WarehouseError, match=r"step tagged failed(.|\n)*select \* from nowhere"):
        ps.search(*example, **THRESHOLDS)


def test_a_database_of_an_earlier_version_is_refused_before_the_work(example, tmp_path):
    path = tmp_path / "old.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create schema prime; create table prime.runs as select 1 as run_id")
    for ask in (ps.open_run, ps.runs, lambda db: ps.search(*example, into=db, **THRESHOLDS)):
        with pytest.raises(ps.WarehouseError, match="made by an earlier version"):
            ask(path)
