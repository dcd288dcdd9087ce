"""`examples/dbt`: the compiled search as a dbt model."""

import json
import os
import shutil
import subprocess

import duckdb
import pytest
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests.schedules.conftest import COMMANDS, ROOT

pytest.importorskip("dbt.adapters.duckdb", reason="dbt-duckdb comes with make test-schedules")

DBT = ROOT / "examples" / "dbt"
EMOJI = ROOT / "examples" / "emoji"
WRITTEN = ("dbt_project.yml", "profiles.yml", "models", "seeds")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    folder.joinpath("emoji").symlink_to(EMOJI)
    project = folder / "dbt"
    project.mkdir()
    for name in WRITTEN:
        copy = shutil.copytree if (DBT / name).is_dir() else shutil.copy
        copy(DBT / name, project / name)
    return project


def dbt(project, *arguments):
    return subprocess.run(
        [COMMANDS / "dbt", *arguments],
        cwd=project,
        env={**os.environ, "DO_NOT_TRACK": "1", "WAREHOUSE": "warehouse.duckdb"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(project):
    done = dbt(project, "build")
    assert done.returncode == 0, done.stdout
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    assert {result["status"] for result in results} == {"success", "pass"}
    with duckdb.connect(project / "warehouse.duckdb", read_only=True) as con:
        yield con, results


def test_the_model_has_the_rows_of_a_search(built):
    con, _ = built
    found = con.sql("from failure_modes").pl().sort("mode_id")
    tables = (EMOJI / "predictions.parquet", EMOJI / "tags.parquet")
    with ps.search(*tables, max_tags=2, min_images=20, min_drop=0.5) as run:
        expected = run.failure_modes.to_polars().drop("run_id").sort("mode_id")
    assert found.height == 12
    assert_frame_equal(found, expected, check_column_order=True)


def test_costs_are_joined(built):
    con, _ = built
    costs = con.sql("from failure_mode_costs").pl()
    assert costs.height == 12
    assert set(costs["team"]) == {"people"}  # all are of People & Body, 3.2 euros each
    assert costs.filter(tags="date + kiss")["cost"].item() == pytest.approx(69 * 3.2)
    excess = 69 - 78 * 429 / 2261
    assert costs.filter(tags="date + kiss")["excess_cost"].item() == pytest.approx(excess * 3.2)


def test_every_column_is_described_and_the_tests_ran(built, project):
    con, results = built
    manifest = json.loads((project / "target" / "manifest.json").read_text())
    for model in ("failure_modes", "failure_mode_costs"):
        node = manifest["nodes"][f"model.prime_example.{model}"]
        assert node["description"]
        assert {*con.sql(f"from {model}").columns} == {*node["columns"]}
        assert all(column["description"] for column in node["columns"].values())
        tests = {result["unique_id"].split(".")[2] for result in results}
        assert {f"unique_{model}_mode_id", f"not_null_{model}_mode_id"} <= tests


def test_bad_data_fails_the_build_before_the_model(built, project, tmp_path):
    """The same image twice: the sources' tests say so, and no failure modes are made of it."""
    folder = tmp_path / "emoji"
    folder.mkdir()
    shutil.copy(EMOJI / "tags.parquet", folder)
    duckdb.sql(
        f"copy (from '{EMOJI}/predictions.parquet' union all "
        f"from (from '{EMOJI}/predictions.parquet' limit 1)) to '{folder}/predictions.parquet'"
    )
    copy = tmp_path / "dbt"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("*.duckdb*"))
    done = dbt(copy, "build")
    assert done.returncode == 1
    assert "source_unique_emoji_predictions_image_id" in done.stdout
    with duckdb.connect(copy / "warehouse.duckdb", read_only=True) as con:
        assert "failure_modes" not in [name for (name,) in con.sql("show tables").fetchall()]
