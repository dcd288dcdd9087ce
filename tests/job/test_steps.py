"""What a job does and publishes."""

import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

import prime_sql as ps
from prime_sql import job as jobs
from tests import tables as data
from tests.job.jobs import JOB, MODES, REPORT, TABLE, VALUE, WHOLE, fail, statuses, succeed, write

# What it does -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tables, tmp_path_factory):
    """The folder of a job that was run from elsewhere."""
    folder = tmp_path_factory.mktemp("done")
    for file in tables.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    write(folder, VALUE, "value.sql")
    result = succeed("run", write(folder, f'name = "nightly"\n{WHOLE}'))
    return folder, result


def test_a_job_finds_what_a_search_finds(done):
    folder, result = done
    test = [row for row in data.PREDICTIONS if row["split"] == "test"]
    with ps.open_run(folder / "prime.duckdb") as run:
        assert data.found(run) == data.expected(test)
        assert (run.job, run.run_id) == ("nightly", 1)
        assert run.options.min_images == 4
        assert run.sources == {"predictions": "predictions.parquet", "tags": "tags.parquet"}
        assert run.validation.min_unseen_images == 1
        assert run.sql("select count(*) from prime.shuffles").to_polars().item() == 2
        chance = run.sql("select q_value, family_wise_p from failure_mode_chance").to_polars()
        assert chance.null_count().sum_horizontal().item() == 0
        modes = run.failure_modes.to_polars()
    assert statuses(folder / "prime.duckdb") == ["complete"]
    assert pl.read_csv(folder / "modes.csv")["mode_id"].to_list() == modes["mode_id"].to_list()
    assert f"{modes.height} failure mode" in result.stdout
    assert "Run 1 of job nightly is in prime.duckdb." in result.stderr
    published = "report.html, modes.csv, marts.by_country, value.json, misses.parquet"
    assert f"Published: {published}." in result.stderr
    assert "<title>" in (folder / "report.html").read_text(encoding="utf-8")


def test_questions_and_sql_join_with_business_tables_by_name(done):
    folder, _ = done
    with ps.open_run(folder / "prime.duckdb") as run:
        images = run.failure_mode_images.to_polars()
        modes = dict(run.failure_modes.to_polars().select("mode_id", "tags").rows())
    orders = {row["photo"]: row for row in pl.read_csv(folder / "orders.csv").to_dicts()}
    wrong = {r["image_id"] for r in data.PREDICTIONS if r["label"] != r["prediction"]}
    value, by_country = {}, {}
    for mode_id, image_id in images.select("mode_id", "image_id").rows():
        order = orders[image_id]
        value[modes[mode_id]] = value.get(modes[mode_id], 0) + order["value"]
        key = modes[mode_id], order["country"]
        count, errors, cost = by_country.get(key, (0, 0, 0))
        is_wrong = image_id in wrong
        by_country[key] = (count + 1, errors + is_wrong, cost + order["value"] * is_wrong)
    found = json.loads((folder / "value.json").read_text())
    assert {row["tags"]: row["value"] for row in found} == value
    with duckdb.connect(str(folder / "prime.duckdb"), read_only=True) as database:
        rows = database.sql("from marts.by_country").pl()
        comment = database.sql(
            "select comment from duckdb_tables() where table_name = 'by_country'"
        ).fetchall()
    measure = next(name for name in rows.columns if "value" in name)
    assert {
        (row["tags"], row["country"]): (row["images"], row["errors"], row[measure])
        for row in rows.to_dicts()
        if row["errors"]
    } == {key: counts for key, counts in by_country.items() if counts[1]}
    assert comment == [("Made by the prime-sql job nightly",)]


def test_a_question_has_its_parameters(done):
    folder, _ = done
    with ps.open_run(folder / "prime.duckdb") as run:
        misses = run.query("near_misses", min_drop=0.6).to_polars()
    assert pl.read_parquet(folder / "misses.parquet").to_dicts() == misses.to_dicts()


def test_tables_are_made_anew_but_never_in_the_place_of_others(folder):
    path = write(folder, JOB + TABLE)
    succeed("run", path)
    succeed("run", path)
    with duckdb.connect(str(folder / "prime.duckdb")) as database:
        assert database.sql("select distinct run_id from marts.modes").fetchall() == [(2,)]
        database.execute("create table Precious as select 1; create view seen as select 1")
    for name in ("precious", "main.PRECIOUS", "seen", "Main.Seen"):
        message = fail("run", write(folder, JOB + TABLE.replace("marts.modes", name)))
        assert "exists and was not made by this job" in message
    # Another job is someone else, too.
    assert "was not made by this job" in fail("run", write(folder, JOB + TABLE, "other.toml"))


def test_sources_and_business_tables_may_be_in_the_database(folder):
    data.write_tables(folder / "prime.duckdb", "lake", p=data.PREDICTIONS, t=data.TAGS)
    data.write_tables(folder / "other.duckdb", orders=[{"image_id": "img-000", "value": 1}])
    text = JOB.replace('"predictions.parquet"', '"lake.p"').replace('"tags.parquet"', '"lake.t"')
    joins = "[joins.a]\nsource = 'lake.p'\n[joins.b]\nsource = 'other.duckdb:orders'\n"
    query = "from a join b using (image_id) select image_id, region, value"
    succeed("run", write(folder, f"{text}{joins}[[outputs]]\nfile = 'x.json'\nsql = '{query}'"))
    region = data.PREDICTIONS[0]["region"]
    assert json.loads((folder / "x.json").read_text()) == [
        {"image_id": "img-000", "region": region, "value": 1}
    ]
    message = fail("run", write(folder, text.replace("lake.t", "lake.tt")))
    assert "sources.tags: there is neither a file nor a table lake.tt. Did you mean" in message


def test_what_is_printed_is_that_of_search(folder):
    search = ["predictions.parquet", "tags.parquet", "--min-images", 4, "--max-tags", 2]
    places = [folder / each if "parquet" in str(each) else each for each in search]
    printed = succeed("search", *places, "--db", folder / "other.duckdb").stdout
    ran = succeed("run", write(folder, JOB), "--quiet")
    assert ran.stdout == printed.replace("other.duckdb", "prime.duckdb")
    assert ran.stderr == ""


def test_no_failure_mode_is_a_result(folder):
    path = write(folder, JOB.replace("min_images = 4", "min_images = 30") + REPORT + MODES)
    result = succeed("run", path)
    assert "No failure modes. No class has 30 images" in result.stdout
    assert pl.read_csv(folder / "modes.csv").height == 0


def test_a_validation_on_other_tables(folder):
    unseen = [{**row, "image_id": f"new-{row['image_id']}"} for row in data.PREDICTIONS]
    tags = [{**row, "image_id": f"new-{row['image_id']}"} for row in data.TAGS]
    data.write(unseen, folder / "new.csv")
    data.write(tags, folder / "new_tags.csv")
    validation = "[validation]\npredictions = 'new.csv'\ntags = 'new_tags.csv'\n"
    result = succeed("run", write(folder, f"{JOB}{validation}min_unseen_images = 4"))
    assert "On unseen data: 3 of 3 decided failure modes hold" in result.stdout
    with ps.open_run(folder / "prime.duckdb") as run:
        assert run.validation.sources == {"predictions": "new.csv", "tags": "new_tags.csv"}


def test_from_python(folder, monkeypatch):
    monkeypatch.chdir("/")
    job = jobs.read(write(folder, JOB + MODES))
    steps = []
    finished = jobs.run(job, on_sql=lambda statement: steps.append(statement.step))
    with finished.run as run:
        assert data.found(run) == data.expected()
        assert not run.backend.list_tables(database=("temp", "main"))
    assert (finished.published, finished.outcomes) == (["modes.csv"], [])
    assert "failure_modes" in steps
    assert Path.cwd() == Path("/")


# Nights that bring what is new, and limits --------------------------------------------------------


def night(folder, half):
    """The tables of every second image."""
    for name, rows in (("predictions", data.PREDICTIONS), ("tags", data.TAGS)):
        images = sorted({row["image_id"] for row in data.PREDICTIONS})[half::2]
        data.write([row for row in rows if row["image_id"] in images], folder / f"{name}.parquet")


def test_a_job_appends_to_its_last_published_run(folder):
    file = write(folder, "append = true\n" + JOB.replace('"tags.parquet"', '"${TAGS}"') + MODES)
    night(folder, 0)
    succeed("run", file, TAGS="tags.parquet")  # there is no run yet: it is searched alone
    night(folder, 1)
    succeed("run", file, TAGS="tags.parquet")
    with ps.open_run(folder / "prime.duckdb") as run:
        assert data.found(run) == data.expected()
        assert run.sources["appended_to"] == "run 1"
        assert run.sources["appended_tags"] == run.sources["tags"] == "${TAGS}"
    assert statuses(folder / "prime.duckdb") == ["complete", "complete"]
    # Other options: the counts of the earlier runs do not hold the answer.
    write(folder, file.read_text().replace("max_tags = 2", "max_tags = 1"))
    message = fail("run", file, TAGS="tags.parquet")
    assert "max_tags 2 there, 1 here" in message


def test_limits_of_a_job_are_those_of_the_engine(folder):
    (folder / "scratch").mkdir()
    says = 'memory_limit = "450MB"\ntemp_dir = "scratch"\n'
    with jobs.run(jobs.read(write(folder, says + JOB))).run as run:
        memory, place = run.backend.raw_sql(
            "select current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchone()
    assert memory == "238.4 MiB"
    assert Path(place).parent == (folder / "scratch").absolute()


def test_settings_of_a_job_are_checked_beforehand(folder):
    split = "\n[validation]\nsplit = 'prediction'\nfind = 'a'\ncheck = 'b'\n"
    assert "append: a search with split" in fail(
        "run", write(folder, "append = true\n" + JOB + split)
    )
    message = fail("run", write(folder, 'memory_limit = "much"\ntemp_dir = "gone"\n' + JOB))
    assert "memory_limit is not a size: 'much'" in message
    assert "gone does not exist; make it first" in message
