"""The views `prime.v_…` for dashboards: same values as the tables, documented, in any client."""

import json
import shutil

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests import tables as data

VIEWS = {
    "v_runs": ["run_id"],
    "v_failure_modes_all_runs": ["run_id", "mode_id"],
    "v_failure_modes": ["run_id", "mode_id"],
    "v_failure_mode_history": ["job", "mode_id"],
    "v_classes": ["run_id", "class_name"],
    "v_failure_mode_tags": ["run_id", "mode_id", "tag"],
    "v_failure_mode_images": ["run_id", "mode_id", "image_id"],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Runs 1 and 2 of the job nightly, 3 of weekly, 4 and 5 without a job.

    In run 2 the cats' mode is gone and the bears' is checked on unseen data; run 3 finds nothing;
    run 5 asks the counts of run 4 again.
    """
    path = tmp_path_factory.mktemp("views") / "kept.duckdb"
    data.search(into=path, job="nightly").close()
    better = [
        {**row, "prediction": row["label"]} if row["label"] == "cat" else row
        for row in data.PREDICTIONS
    ]
    with data.search(data.frame(better), into=path, job="nightly") as run:
        run.validate(data.frame(better), data.frame(data.TAGS), min_unseen_images=5)
        run.chance()
    data.search(into=path, job="weekly", min_images=200, necessity=(0.2, 0.1)).close()
    # Tags of the images that the condition leaves out: the run says so.
    with (
        pytest.warns(ps.InputWarning, match="left out"),
        data.search(into=path, where="region = 'north'", max_q=1.0) as run,
    ):
        run.refilter(min_drop=0.35)
    return path


@pytest.fixture(scope="module")
def con(path):
    """The file as a client sees it: attached under another name, for reading only."""
    with duckdb.connect() as con:
        con.execute(f"attach '{path}' as warehouse (read_only)")
        yield con


@pytest.fixture(scope="module")
def read(con):
    def read(name, order=()):
        frame = con.sql(f"select * from warehouse.prime.{name}").pl()
        return frame.sort(order or VIEWS.get(name) or frame.columns, nulls_last=True)

    return read


def test_every_view_and_column_is_described(con):
    found = con.sql(
        "select view_name, comment from duckdb_views() "
        "where database_name = 'warehouse' and view_name like 'v\\_%' escape '\\'"
    ).fetchall()
    assert {name for name, _ in found} == set(VIEWS)
    columns = con.sql(
        "select table_name, column_name, comment from duckdb_columns() "
        "where database_name = 'warehouse' and table_name like 'v\\_%' escape '\\'"
    ).fetchall()
    assert {name for name, _, _ in columns} == set(VIEWS)
    assert [row for row in [*found, *columns] if not row[-1]] == []


def test_columns_are_flat_and_rows_are_told_apart_by_their_keys(con, read):
    for name, key in VIEWS.items():
        types = {row[1] for row in con.sql(f"describe warehouse.prime.{name}").fetchall()}
        assert types <= {"INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN", "TIMESTAMP"}
        assert read(name).height == read(name).select(key).n_unique() > 0


def test_runs_have_typed_columns_from_their_json(read):
    runs, stored = read("v_runs"), read("runs", ["run_id"])
    modes, classes = read("failure_modes"), read("classes")
    for row, kept in zip(runs.to_dicts(), stored.to_dicts(), strict=True):
        options, sources = json.loads(kept["options"]), json.loads(kept["sources"])
        counts = json.loads(kept["row_counts"])
        assert {name: row[name] for name in ("run_id", "job", "created_at", "note", "version")} == {
            name: kept[name] for name in ("run_id", "job", "created_at", "note", "version")
        }
        same = ("method", "max_tags", "min_images", "min_drop", "max_absent", "max_q", "min_score")
        assert {name: row[name] for name in same} == {name: options[name] for name in same}
        assert row["condition"] == options["where"]
        assert row["error_condition"] == options["error"]
        assert row["group_by"] == ", ".join(options["group_by"])
        assert [float(part) for part in row["necessity"].split(", ")] == options["necessity"]
        assert row["min_tag_images"] == options["min_images"]
        assert (row["predictions_source"], row["tags_source"]) == (
            sources["predictions"],
            sources["tags"],
        )
        own = classes.filter(pl.col("run_id") == row["run_id"])
        assert (row["images"], row["errors"], row["classes"]) == (
            own["images"].sum(),
            own["errors"].sum(),
            own.height,
        )
        assert row["accuracy"] == pytest.approx(1 - row["errors"] / row["images"])
        assert row["failure_modes"] == counts["failure_modes"]
        assert row["warnings"] == len(json.loads(kept["warnings"]))
        drops = modes.filter(pl.col("run_id") == row["run_id"])["accuracy_drop"]
        assert row["largest_accuracy_drop"] == drops.max()
    assert runs["job"].to_list() == ["nightly", "nightly", "weekly", None, None]
    assert runs["is_latest"].to_list() == [False, True, True, False, True]
    assert runs["counted_run_id"].to_list() == [1, 2, 3, 4, 4]
    assert runs["failure_modes"].to_list()[:3] == [3, 2, 0]
    assert runs["warnings"].to_list()[:4] == [0, 0, 0, 1]
    assert runs["images"].to_list()[0] == len(data.PREDICTIONS)
    assert runs.select("holding_modes", "failing_modes", "undecided_modes").row(1) == (1, 0, 1)
    assert runs["validated_at"].is_null().to_list() == [True, False, True, True, True]
    assert runs["unseen_images"].to_list() == [None, len(data.PREDICTIONS), None, None, None]


def test_failure_modes_are_those_of_the_tables(read):
    every = read("v_failure_modes_all_runs")
    tables = (
        read("failure_modes", ["run_id", "mode_id"])
        .join(read("runs").select("run_id", "job", "created_at"), on="run_id")
        .join(read("failure_mode_chance"), on=["run_id", "mode_id"], how="left")
        .join(
            read("validations").select(
                "run_id",
                "mode_id",
                "verdict",
                unseen_images="images",
                unseen_errors="errors",
                unseen_accuracy="accuracy",
                unseen_accuracy_drop="accuracy_drop",
            ),
            on=["run_id", "mode_id"],
            how="left",
        )
        .sort("run_id", "mode_id")
    )
    assert set(every.columns) - set(tables.columns) == {"place", "is_latest"}
    assert_frame_equal(every.select(tables.columns), tables)
    assert every["p_value"].null_count() == 0
    assert every.filter(run_id=2)["q_value"].null_count() == 0
    assert every.filter(run_id=1)["verdict"].null_count() == 3
    for run_id in (1, 2, 4, 5):
        ranked = every.filter(run_id=run_id).sort("place")
        assert ranked["place"].to_list() == [*range(1, ranked.height + 1)]
        assert_frame_equal(
            ranked, ranked.sort("excess_errors", descending=True, maintain_order=True)
        )


def test_latest_means_the_last_run_of_each_job(read):
    every = read("v_failure_modes_all_runs")
    latest = every.filter(pl.col("run_id").is_in([2, 3, 5])).drop("is_latest")
    assert_frame_equal(read("v_failure_modes"), latest)
    assert latest["run_id"].unique().sort().to_list() == [2, 5]  # run 3 found nothing

    classes = read("v_classes")
    stored = read("classes").filter(pl.col("run_id").is_in([2, 3, 5])).sort("run_id", "class_name")
    shared = ["run_id", "class_name", "images", "errors", "accuracy"]
    assert_frame_equal(classes.select(shared), stored.select(shared))
    assert classes.filter(run_id=2)["failure_modes"].to_list() == [1, 1, 0]  # ape, bear, cat
    assert classes.filter(run_id=2)["largest_accuracy_drop"].to_list()[2] is None


@pytest.mark.parametrize("name", ["tags", "images"])
def test_tags_and_images_are_those_of_the_tables(read, name):
    view = read(f"v_failure_mode_{name}")
    modes = read("v_failure_modes").select("job", "run_id", "mode_id", "class_name", "tags")
    stored = read(f"failure_mode_{name}").rename({"present": "is_present"}, strict=False)
    expected = modes.join(stored, on=["run_id", "mode_id"])
    shared = [column for column in view.columns if column in expected.columns]
    assert_frame_equal(view.select(shared), expected.select(shared), check_row_order=False)
    assert view.height > modes.height
    if name == "images":
        sizes = view.group_by("run_id", "mode_id").agg(images=pl.len(), errors=pl.sum("error"))
        counts = read("v_failure_modes").select("run_id", "mode_id", "images", "errors")
        assert_frame_equal(sizes.sort("run_id", "mode_id"), counts, check_dtypes=False)


def test_history_has_each_mode_of_a_job_once(read):
    history = {(row["job"], row["tags"]): row for row in read("v_failure_mode_history").to_dicts()}
    nightly = {tags: row for (job, tags), row in history.items() if job == "nightly"}
    assert {
        tags: (
            row["class_name"],
            row["runs"],
            row["first_run_id"],
            row["last_run_id"],
            row["is_present"],
        )
        for tags, row in nightly.items()
    } == {
        "black + hang": ("ape", 2, 1, 2, True),
        "snow": ("bear", 2, 1, 2, True),
        "toy": ("cat", 1, 1, 1, False),
    }
    every = read("v_failure_modes_all_runs")
    for row in history.values():
        of_job = every.filter(pl.col("job").eq_missing(row["job"]), mode_id=row["mode_id"])
        first, last = of_job.row(0, named=True), of_job.row(-1, named=True)
        assert row["runs"] == of_job.height
        assert (row["first_seen_at"], row["last_seen_at"]) == (
            first["created_at"],
            last["created_at"],
        )
        assert (row["first_accuracy"], row["last_accuracy"]) == (
            first["accuracy"],
            last["accuracy"],
        )
        assert [row[f"last_{name}"] for name in ("images", "errors", "accuracy_drop")] == [
            last[name] for name in ("images", "errors", "accuracy_drop")
        ]


def test_views_come_to_a_database_that_was_made_without_them(tmp_path):
    path = tmp_path / "prime.duckdb"  # its catalog has the name of the schema
    data.search(into=path).close()
    with duckdb.connect(path) as con:
        con.execute("use prime.prime")
        for name in reversed(VIEWS):
            con.execute(f"drop view {name}")
    with ps.open_run(path, read_only=False) as run:
        run.refilter(min_drop=0.5)
    with duckdb.connect(path, read_only=True) as con:
        assert con.sql(
            "select run_id, is_latest from prime.prime.v_runs order by 1"
        ).fetchall() == [
            (1, False),
            (2, True),
        ]


def test_a_run_that_its_job_did_not_publish_is_in_no_view(path, tmp_path):
    copy = tmp_path / "copy.duckdb"
    shutil.copy(path, copy)
    with duckdb.connect(copy) as con:
        con.execute("update prime.runs set status = 'unpublished' where run_id = 2")
        for name in VIEWS:
            if "run_id" in VIEWS[name]:
                found = con.sql(f"from prime.{name} where run_id = 2").fetchall()
                assert found == []
        runs = con.sql("select run_id, is_latest from prime.v_runs order by run_id").fetchall()
        assert runs == [(1, True), (3, True), (4, False), (5, True)]
        history = con.sql(
            "select max(last_run_id) from prime.v_failure_mode_history where job = 'nightly'"
        )
        assert history.fetchall() == [(1,)]
