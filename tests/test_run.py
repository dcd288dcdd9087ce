"""Runs in a database: relations, SQL, other thresholds, and all or nothing."""

import json
import os
import signal
import subprocess
import sys

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.warehouse import Warehouse
from tests.examples import examples
from tests.test_search import frames, options, tables

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
THRESHOLDS = {"min_images": 4, "min_drop": 0.2}


@pytest.fixture(scope="module")
def example():
    """Ape fails on 'hang' and, harder, on 'hang + branch'; bee is fine."""
    predictions = [(f"i{n}", "ape", "bee" if n < 10 else "ape") for n in range(40)]
    predictions += [(f"j{n}", "bee", "bee") for n in range(20)]
    tags = [(f"i{n}", "hang") for n in range(16)]
    tags += [(f"i{n}", "branch") for n in [*range(8), *range(20, 30)]]
    tags += [(f"j{n}", "branch") for n in range(20)]
    tags += [(f"i{n}", "sky") for n in range(16, 40)]
    return frames(predictions, tags)


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
    warehouse = Warehouse(ibis.duckdb.connect(), seen.append if listens else None)
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
    from prime_sql.sources import describe

    assert "secret" not in describe("s3://key:secret@bucket/p.parquet")
    assert "secret" not in describe("https://host/p.parquet?token=secret&x=1")
    assert "secret" not in describe("postgres://me:se/cret@host/db".replace("se/cret", "secret"))


# Other thresholds ---------------------------------------------------------------------------------


def rows(relation):
    return relation.to_polars().drop("run_id")


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
@examples(12)
@given(tables(), options(), options())
def test_refilter_equals_a_new_search_or_says_that_it_cannot(data, counted, asked):
    with ps.search(*frames(*data), **counted) as old:
        wider = (
            asked["max_tags"] > counted["max_tags"]
            or asked["min_images"] < counted["min_images"]
            or asked["min_drop"] < counted["min_drop"]
            or (asked["min_tag_images"] or asked["min_images"]) < old.options.tag_images
        )
        asked["max_absent"] = counted["max_absent"]  # decides what is counted
        changes = {key: value for key, value in asked.items() if value is not None}
        del changes["max_absent"]
        expected = old.options.replace(**changes)
        try:
            new = old.refilter(**changes)
        except ps.StoredCountsError:
            assert wider  # stricter thresholds always have their answer in the stored counts
            assert ps.runs(old.backend).height == 1
            return
        assert new.options == expected
        assert new.counted_run_id == old.run_id
        fresh_options = {key: getattr(expected, key) for key in asked}
        with ps.search(*frames(*data), **fresh_options) as fresh:
            for name in ("failure_modes", "failure_mode_tags", "failure_mode_images", "classes"):
                assert_frame_equal(rows(getattr(new, name)), rows(getattr(fresh, name)))
            if not wider:
                assert_frame_equal(rows(new.tag_sets), rows(fresh.tag_sets))
            assert (new.note is None) == (fresh.note is None)


def test_refilter_counts_nothing_and_says_when_it_cannot(example, run):
    statements = []
    stricter = run.refilter(min_drop=0.5, on_sql=statements.append)
    assert rows(stricter.failure_modes)["tags"].to_list() == ["branch + hang"]
    assert not any(s.step.startswith(("candidates", "members")) for s in statements)
    assert stricter.options.min_images == 4
    # From a refiltered run too, and back to where the counts began.
    assert stricter.refilter(min_images=8).failure_modes.to_polars().height == 1
    assert_frame_equal(rows(stricter.refilter(min_drop=0.2).failure_modes), rows(run.failure_modes))
    # 17 images carry no tag of the modes: none is frequent any more.
    assert run.refilter(min_tag_images=17).tag_sets.to_polars()["tags"].to_list() == ["branch"]
    with pytest.raises(ps.StoredCountsError, match=r"max_tags 5.*search the tables again"):
        run.refilter(max_tags=5)
    with pytest.raises(ps.StoredCountsError, match="--min-images 2"):
        run.refilter(min_images=2)
    with (
        ps.search(*example, min_images=4, min_drop=0.5) as strict,
        pytest.raises(ps.StoredCountsError, match=r"'ape'.*from 3 errors on.*with 2"),
    ):
        strict.refilter(min_drop=0.2)
    with pytest.raises(ps.OptionError, match="min_drop must be between"):
        run.refilter(min_drop=2)


# All or nothing -----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import prime_sql as ps

moment = sys.argv[4]
seen = 0

def on_sql(statement):
    global seen
    seen += statement.step == moment.partition(":")[0]
    if seen and seen == int(moment.partition(":")[2] or 1):
        os.kill(os.getpid(), signal.SIGKILL)

ps.search(sys.argv[1], sys.argv[2], into=sys.argv[3], min_images=4, min_drop=0.2, on_sql=on_sql)
print("complete")
"""


def contents(path):
    """All rows of all tables, or None where there is no file."""
    if not path.exists():
        return None
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as kept (read_only); use kept")
        names = connection.sql(
            "select schema_name || '.' || table_name from duckdb_tables() "
            "where database_name = 'kept' order by 1"
        ).fetchall()
        return {name: connection.sql(f"from {name} order by all").fetchall() for (name,) in names}


def kill_at(moment, folder, path):
    return subprocess.run(
        [sys.executable, "-c", KILLED, folder / "p.parquet", folder / "t.parquet", path, moment],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def files(example, tmp_path):
    example[0].write_parquet(tmp_path / "p.parquet")
    example[1].write_parquet(tmp_path / "t.parquet")
    return tmp_path


# The transaction: begin, the statements that make the tables (once), the number of the run, eight
# inserts, commit. Counted from its end in the test below.
@pytest.mark.parametrize("moment", ["predictions", "members_2", "publish:1", "publish:5"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_killed_process_leaves_the_database_as_it_was(moment, existing, files):
    path = files / "prime.duckdb"
    if existing:
        ps.search(files / "p.parquet", files / "t.parquet", into=path, **THRESHOLDS).close()
    before = contents(path)
    process = kill_at(moment, files, path)
    assert process.returncode == -signal.SIGKILL
    assert contents(path) == before
    # What the killed process left beside it is in nobody's way.
    with ps.search(files / "p.parquet", files / "t.parquet", into=path, **THRESHOLDS) as run:
        assert run.run_id == (2 if existing else 1)
        assert run.failure_modes.to_polars().height == 2
    assert sorted(file.name for file in files.iterdir()) == [
        "p.parquet",
        "prime.duckdb",
        "t.parquet",
    ]


def test_killed_at_every_statement_around_the_commit(files):
    path = files / "prime.duckdb"
    for _ in range(2):  # the first run makes the tables as well
        published = []
        ps.search(
            files / "p.parquet",
            files / "t.parquet",
            into=path,
            on_sql=published.append,
            **THRESHOLDS,
        ).close()
    last = sum(statement.step == "publish" for statement in published)
    before = contents(path)
    for moment in range(last - 3, last):
        kill_at(f"publish:{moment}", files, path)
        assert contents(path) == before
    kill_at(f"publish:{last}", files, path)  # after the commit
    after = contents(path)
    assert [row[0] for row in after["prime.runs"]] == [1, 2, 3]
    for name in ("classes", "tag_sets", "failure_modes", "failure_mode_tags", "outcomes"):
        rows_of = [
            [row[1:] for row in after[f"prime.{name}"] if row[0] == run_id] for run_id in (1, 3)
        ]
        assert rows_of[0] == rows_of[1] != []


@pytest.mark.parametrize("moment", ["predictions", "candidates_1", "tag_sets", "publish"])
def test_a_process_killed_from_outside(moment, files):
    """Killed while it goes on working after it said that a step is done."""
    path = files / "prime.duckdb"
    ps.search(files / "p.parquet", files / "t.parquet", into=path, **THRESHOLDS).close()
    before = contents(path)
    with subprocess.Popen(
        [sys.executable, "-m", "prime_sql", "search", files / "p.parquet", files / "t.parquet",
         "--db", path, "--min-images", "4", "--verbose"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, pipesize=4096,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if line.startswith(f"{moment}:"):
                process.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail(f"no step {moment}")
        process.stderr.read()
    # What it says of the steps to come does not fit into the pipe: early on, it waits for us. Later
    # it may be faster than the signal, or have ended before: then the run is there, whole.
    after = contents(path)
    late = moment in ("tag_sets", "publish")
    assert process.returncode == -signal.SIGKILL or (late and process.returncode == 0)
    assert after != before or process.returncode != 0
    if after != before:
        assert late
        with ps.open_run(path) as run:
            assert run.run_id == 2
            assert run.row_counts["tag_sets"] == run.tag_sets.to_polars().height


def test_half_made_files_of_dead_processes_are_cleared_away(example, tmp_path):
    path = tmp_path / "prime.duckdb"
    with subprocess.Popen(["true"]) as dead:
        pass
    for leftover in (
        f".prime.duckdb.{dead.pid}-1a2b.partial",
        f".prime.duckdb.{dead.pid}-1a2b.partial.wal",
    ):
        (tmp_path / leftover).write_bytes(b"half a header")
    busy = tmp_path / f".prime.duckdb.{os.getpid()}-1a2b.partial"
    busy.touch()
    ps.search(*example, into=path, **THRESHOLDS).close()
    assert sorted(tmp_path.iterdir()) == [busy, path]


def test_two_searches_for_one_new_file(example, tmp_path):
    """The second to finish leaves the first one's file alone."""
    path = tmp_path / "prime.duckdb"
    inner = []

    def nested(statement):
        if not inner:
            inner.append(None)
            inner[0] = ps.search(*example, into=path, **THRESHOLDS)

    with pytest.raises(ps.WarehouseError, match="appeared while"):
        ps.search(*example, into=path, on_sql=nested, **THRESHOLDS)
    assert inner[0].failure_modes.to_polars().height == 2
    inner[0].close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_without_its_database_is_not_revived(example, tmp_path):
    (tmp_path / "prime.duckdb.wal").touch()
    with pytest.raises(ps.WarehouseError, match=r"prime\.duckdb\.wal is still there"):
        ps.search(*example, into=tmp_path / "prime.duckdb", **THRESHOLDS)


def test_a_symbolic_link_stays_one(example, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(tmp_path / "real.duckdb")
    ps.search(*example, into=link, **THRESHOLDS).close()
    assert link.is_symlink()
    assert ps.runs(tmp_path / "real.duckdb").height == 1


def test_an_error_in_the_middle_leaves_nothing(example, tmp_path):
    class StopError(Exception):
        pass

    def stop(statement):
        if statement.step == "publish" and "failure_modes" in statement.sql:
            raise StopError

    path = tmp_path / "prime.duckdb"
    with pytest.raises(StopError):
        ps.search(*example, into=path, on_sql=stop, **THRESHOLDS)
    assert list(tmp_path.iterdir()) == []
    ps.search(*example, into=path, **THRESHOLDS).close()
    before = contents(path)
    with pytest.raises(StopError):
        ps.search(*example, into=path, on_sql=stop, **THRESHOLDS)
    assert contents(path) == before


def test_a_database_that_appears_meanwhile_is_left_alone(example, tmp_path):
    path = tmp_path / "prime.duckdb"

    def appear(statement):
        if not path.exists():
            duckdb.connect(str(path)).close()

    with pytest.raises(ps.WarehouseError, match="appeared while"):
        ps.search(*example, into=path, on_sql=appear, **THRESHOLDS)
    assert contents(path) == {}
    assert list(tmp_path.iterdir()) == [path]


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
    from prime_sql import queries

    real = queries.find

    def broken(name, plans=None):
        query = real(name, plans)
        if name != "search/tagged":
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
