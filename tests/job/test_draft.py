"""``prime-sql init``: a first file."""

import re

import polars as pl
import pytest

import prime_sql as ps
from prime_sql import job as jobs
from prime_sql.job import schema
from tests import tables as data
from tests.job.jobs import call, contents, fail, succeed, valid, write


def test_init_writes_a_file_that_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = succeed("init", "predictions.parquet", "tags.parquet")
    assert "prime-sql run prime.toml" in result.stderr
    says = valid(folder / "prime.toml")
    assert says["validation"] == {"split": "split", "find": "train", "check": "test"}
    assert says["options"]["min_images"] == 5
    text = (folder / "prime.toml").read_text()
    assert text.startswith("#:schema ./prime.schema.json\n")
    assert '# group_by = ["label", "region"]' in text
    assert (folder / "prime.schema.json").read_text() == schema.shipped()
    result = succeed("run", "prime.toml")
    assert "Published: report.html, failure_modes.parquet." in result.stderr


def test_the_comments_of_a_first_file_are_settings_that_fit(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data.write(data.TAGS, folder / "new_tags.parquet")
    data.write(
        [{k: v for k, v in row.items() if k != "split"} for row in data.PREDICTIONS],
        folder / "new_predictions.parquet",
    )
    succeed("init", "new_predictions.parquet", "new_tags.parquet")
    orders = [{"image_id": row["image_id"], "region": "north"} for row in data.PREDICTIONS]
    data.write(orders, folder / "orders.parquet")
    text = (folder / "prime.toml").read_text()
    settings = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    path = write(folder, settings.replace('where = "…"', 'where = "true"'))
    assert {"validation", "chance", "joins", "gates"} <= valid(path).keys()
    result = call("run", path)
    assert result.exit_code == 0, result.stderr
    assert "Gate new: cannot trip, because there is no earlier run" in result.stderr
    assert "marts.failure_modes_by_region" in result.stderr


def test_init_overwrites_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write(folder, "mine")
    arguments = ["init", "predictions.parquet", "tags.parquet"]
    assert "prime.toml already exists; --force overwrites it" in fail(*arguments)
    assert (folder / "prime.toml").read_text() == "mine"
    succeed(*arguments, "--force")
    assert "the folder x does not exist" in fail(*arguments, "-o", "x/prime.toml")
    assert "give PREDICTIONS and TAGS" in fail("init")


def test_init_leaves_a_schema_of_something_else(folder, monkeypatch):
    monkeypatch.chdir(folder)
    arguments = ["init", "predictions.parquet", "tags.parquet"]
    write(folder, '{"title": "something else"}', "prime.schema.json")
    before = contents(folder)
    assert "prime.schema.json already exists, and is not a schema of job" in fail(*arguments)
    assert contents(folder) == before
    write(folder, '{"title": "prime_sql job", "of": "an older version"}', "prime.schema.json")
    succeed(*arguments)
    assert (folder / "prime.schema.json").read_text() == schema.shipped()


def test_init_of_tables_without_rows(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write(folder, "image_id,label,prediction\n", "head.csv")
    write(folder, "image_id,tag\n", "head_tags.csv")
    assert "predictions: head.csv has no rows" in fail("init", "head.csv", "tags.parquet")
    assert "tags: head_tags.csv has no rows" in fail("init", "predictions.parquet", "head_tags.csv")
    assert not (folder / "prime.toml").exists()


def test_init_of_columns_that_look_like_variables(folder, monkeypatch):
    monkeypatch.chdir(folder)
    renamed = pl.DataFrame(data.PREDICTIONS).rename({"label": "${label}", "prediction": "$${p"})
    renamed.write_parquet("odd.parquet")
    names = ["--label", "${label}", "--prediction", "$${p"]
    succeed("init", "odd.parquet", "tags.parquet", *names)
    job = jobs.read("prime.toml")
    assert (job.says.columns.label, job.shown.columns.prediction) == ("${label}", "$${p")
    succeed("run", "prime.toml")


def test_init_from_elsewhere_and_other_columns(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "conf").mkdir()
    (folder / "lake").mkdir()
    renamed = pl.DataFrame(data.PREDICTIONS).rename({"image_id": "File Name", "label": "Truth"})
    renamed = renamed.rename({"prediction": "guess"}).drop("split")
    renamed.with_columns(model=pl.lit("a")).write_csv(folder / "lake" / "0.csv")
    renamed.with_columns(model=pl.lit("b")).write_csv(folder / "lake" / "1.csv")
    tags = [{"File Name": row["image_id"], "Keywords": row["tag"]} for row in data.TAGS]
    data.write_tables(folder / "warehouse.duckdb", "marts", image_tags=tags)
    succeed("init", "lake/*.csv", "warehouse.duckdb:marts.image_tags", "-o", "conf/nightly.toml")
    says = valid(folder / "conf" / "nightly.toml")
    assert says["sources"] == {
        "predictions": "../lake/*.csv",
        "tags": "../warehouse.duckdb:marts.image_tags",
    }
    assert says["db"] == "../prime.duckdb"
    columns = {"image_id": "File Name", "label": "Truth", "prediction": "guess", "tag": "Keywords"}
    assert says["columns"] == columns
    assert says["options"]["where"] == "model = 'a'"
    succeed("run", "conf/nightly.toml")
    assert ps.runs(folder / "prime.duckdb")["job"].to_list() == ["nightly"]


@pytest.mark.parametrize("yes", [True, 1])
def test_init_sees_a_wide_table(yes, folder, monkeypatch):
    monkeypatch.chdir(folder)
    data.write(data.wide(yes=yes, no=type(yes)(0)), folder / "wide.parquet")
    succeed("init", "predictions.parquet", "wide.parquet")
    assert valid(folder / "prime.toml")["options"]["wide"] is True
    succeed("run", "prime.toml")


def test_init_asks_where_it_cannot_tell(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data.write([{"image_id": "a", "x1": 1, "x2": 2}], folder / "odd.csv")
    message = fail("init", "odd.csv", "tags.parquet")
    assert "cannot tell which column is the label; predictions has: image_id, x1, x2" in message
    succeed("init", "odd.csv", "tags.parquet", "--label", "x1", "--prediction", "x2")
    data.write([{"picture": "a", "tag": "b"}], folder / "no.csv")
    message = fail("init", "predictions.parquet", "no.csv", "-o", "new.toml")
    assert "cannot tell which column is the image_id; both tables have: no column" in message
