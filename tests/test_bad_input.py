"""Each bad input gives one clear error, and leaves every file as it was."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pytest

import prime_sql as ps
from tests.data import PREDICTIONS, TAGS, frame, search, wide, write, write_sqlite, write_tables

P = frame(PREDICTIONS)
T = frame(TAGS)
WIDE = frame(wide())


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def refused(folder: Path, kind: type[ps.PrimeSqlError], *pieces: str) -> Iterator[None]:
    """The error is of this kind, its message holds the pieces in order; no file has changed."""
    before = contents(folder)
    with pytest.raises(ps.PrimeSqlError) as caught:
        yield
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert re.search(".*".join(map(re.escape, pieces)), message), message
    assert "\n" not in message  # one line, without the engine's SQL
    assert "Possible fixes" not in message  # nor its advice, on options that nobody has here
    assert contents(folder) == before


def null(name: str) -> pl.DataFrame:
    """The predictions with the column null in the last three rows."""
    place = pl.int_range(pl.len())
    return P.with_columns(pl.when(place < len(PREDICTIONS) - 3).then(pl.col(name)).alias(name))


# Tables -------------------------------------------------------------------------------------------

TABLES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "misspelt label": (
        {"predictions": P.rename({"label": "lable"})},
        ["predictions has no column 'label'. Did you mean 'lable'? It has: image_id, lable",
         "--label"],
    ),
    "misspelt tag": (
        {"tags": T.rename({"tag": "tga"})},
        ["tags has no column 'tag'. Did you mean 'tga'? It has: image_id, tga, score", "--tag"],
    ),
    "upper case": (
        {"predictions": P.rename({"image_id": "Image_ID"})},
        ["predictions has no column 'image_id'. Did you mean 'Image_ID'?", "--image-id"],
    ),
    "misspelt option": (
        {"prediction": "predicted"},
        ["predictions has no column 'predicted'. Did you mean 'prediction'?", "--prediction"],
    ),
    "misspelt group": (
        {"group_by": "label,regoin"},
        ["predictions has no column 'regoin'. Did you mean 'region'?", "--group-by"],
    ),
    "no score": (
        {"tags": T.drop("score"), "min_score": 0.5},
        ["tags has no column 'score'. It has: image_id, tag.", "--score"],
    ),
    "no label, though an error is given": (
        {"predictions": P.drop("label", "prediction"), "error": "region = 'north'"},
        ["predictions has no column 'label'"],
    ),
    "many columns": (
        {"predictions": pl.DataFrame({"x" * 100: [1], **{f"c{n}": [1] for n in range(50)}})},
        ["It has: " + "x" * 59 + "…, c0, c1", " and 39 more. Name"],
    ),
    "null image_id": (
        {"predictions": null("image_id")},
        ["predictions.image_id is null in 3 of 45 rows", "class 'cat'", "where"],
    ),
    "null label": (
        {"predictions": null("label")},
        ["predictions.label is null in 3 of 45 rows, for example image 'img-042'; fill it",
         "where"],
    ),
    "null prediction": (
        {"predictions": null("prediction").rename({"prediction": "guess"}), "prediction": "guess"},
        ["predictions.guess is null in 3 of 45 rows, for example image 'img-042'; fill it"],
    ),
    "no label at all": (
        {"predictions": P.with_columns(label=None)},
        ["predictions.label is null in 45 of 45 rows, for example image 'img-000'"],
    ),
    "null group": (
        {"predictions": null("region"), "group_by": "region"},
        ["predictions.region is null in 3 of 45 rows, for example image 'img-042'; fill it"],
    ),
    "null in one of two groups": (
        {"predictions": null("region"), "group_by": "label,region"},
        ["predictions.label or predictions.region is null in 3 of 45 rows", "'img-042'"],
    ),
    "null condition": (
        {"predictions": null("region"), "error": "region = 'north'"},
        ["predictions: the error condition \"region = 'north'\" is neither true nor false",
         "in 3 of 45 rows, for example image 'img-042'", "coalesce"],
    ),
    "duplicates": (
        {"predictions": pl.concat([P, P[:2], P[:1]])},
        ["predictions.image_id is not unique: 2 images", "(3 of 48 rows too many)",
         "image 'img-000' 3 times in class 'ape'", "remove the copies", "where", "group_by"],
    ),
    "duplicates in one group": (
        {"predictions": pl.concat([P, P[:1].with_columns(label=pl.lit("cat"))]),
         "group_by": "region"},
        ["predictions.image_id is not unique: 1 images stand",
         "image 'img-000' 2 times in class 'south'"],
    ),
    "1 against '1'": (
        {"predictions": P.with_columns(label=1, prediction=pl.lit("1"))},
        ["predictions.label is int", "predictions.prediction is string, in all 45 rows",
         "label 1 against prediction '1'", "same type"],
    ),
    "True against 1": (
        {"predictions": P.with_columns(label=True, prediction=1)},
        ["predictions.label is boolean", "label True against prediction 1", "same type"],
    ),
    "no rows": ({"predictions": P[:0]}, ["predictions (polars DataFrame) has no rows"]),
    "no rows left": (
        {"where": "split = 'nope'"},
        ["predictions (polars DataFrame) has no rows where split = 'nope'"],
    ),
    "no columns": ({"predictions": pl.DataFrame()}, ["cannot read predictions (polars DataFrame)"]),
    "exchanged": (
        {"predictions": T, "tags": P},
        ["no columns 'label' and 'prediction', and tags has them", "the predictions come first"],
    ),
    "tags with the columns of predictions": (
        {
            "predictions": P.rename({"label": "truth", "prediction": "guess"}),
            "tags": T.join(P, on="image_id"),
        },
        ["predictions has no column 'label'. It has: ", "Name the right one with --label"],
    ),
    "no image in common": (
        {"tags": T.with_columns(image_id="x" + pl.col("image_id"))},
        ["tags and predictions have no image_id in common: 62 tag rows, for example",
         "'ximg-000'", "45 images, for example 'img-000'", "--image-id"],
    ),
    "number as image_id, as pandas makes it where one is missing": (
        {"predictions": pd.DataFrame(PREDICTIONS).assign(image_id=range(45)),
         "tags": pd.DataFrame(TAGS[:3]).assign(image_id=[1, 2, None])},
        ["no image_id in common: 2 tag rows, for example image '1.0'", "for example '0'", "alike"],
    ),
    "tags are floats": (
        {"tag": "score"},
        ["tags.score is float64 in 62 rows, for example 0.9", "a tag is text", "wide"],
    ),
    "score is text": (
        {"tags": T.cast({"score": pl.String}), "min_score": 0.5},
        ["tags.score is string in 62 rows, for example '0.9'; min_score needs", "numbers"],
    ),
    "wide with words": (
        {"tags": WIDE.with_columns(note=pl.lit("good")), "wide": True},
        ["tags.note is string in 45 rows, for example 'good'; with wide", "0/1: leave"],
    ),
    "wide with -1 and 1": (
        {"tags": frame(wide(yes=1, no=-1)), "wide": True},
        ["tags.black holds values other than 0 and 1 in 37 rows, for example -1 for image",
         "'img-008'"],
    ),
    "wide with scores": (
        {"tags": frame(wide(yes=0.7, no=0.0)), "wide": True},
        ["tags.black holds values other than 0 and 1 in 8 rows, for example 0.7 for image",
         "'img-000'", "value > 0"],
    ),
    "wide without tags": (
        {"tags": WIDE[["image_id"]], "wide": True},
        ["tags has no column beside"],
    ),
    "wide, and nobody said so": (
        {"tags": WIDE},
        ["tags has no column 'tag'. It has: image_id, black, hang"],
    ),
    "names that are no text": (
        {"tags": pd.DataFrame(wide()).rename(columns={"snow": 7}), "wide": True},
        ["tags has a column called 7, a int; column names must be text: rename it"],
    ),
    "one column of two types": (
        {"predictions": pd.DataFrame(PREDICTIONS).assign(label=[1, "a", 2] * 15)},
        ["cannot read predictions (pandas DataFrame)", "label", "give every column one type"],
    ),
    "two columns of one name": (
        {"predictions": pd.concat([pd.DataFrame(PREDICTIONS)] * 2, axis=1)},
        ["cannot read predictions (pandas DataFrame)", "Duplicate column names", "label"],
    ),
    "a lazy frame that fails": (
        {"predictions": P.lazy().with_columns(pl.col("label").cast(int))},
        ["cannot read predictions (polars LazyFrame)", "conversion from `str` to `i64` failed",
         "'label'"],
    ),
    "an Ibis table without an engine": (
        {"tags": ibis.table({"image_id": "string", "tag": "string"}, name="t")},
        ["cannot read tags (ibis table t)", "unbound"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_tables(case: str, tmp_path: Path) -> None:
    options, pieces = TABLES[case]
    with refused(tmp_path, ps.InputError, *pieces):
        search(into=tmp_path / "new.duckdb", **options)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("case", ["misspelt label", "null label", "duplicates", "wide with scores"])
def test_tables_in_files(case: str, ending: str, tmp_path: Path) -> None:
    options, pieces = TABLES[case]
    options = {
        name: write(value.to_dicts(), tmp_path / f"{name}.{ending}")
        if isinstance(value, pl.DataFrame)
        else value
        for name, value in options.items()
    }
    with refused(tmp_path, ps.InputError, *pieces):
        search(into=tmp_path / "new.duckdb", **options)


def test_files_without_rows(tmp_path: Path) -> None:
    P[:0].write_csv(tmp_path / "p.csv")
    P[:0].write_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        with refused(tmp_path, ps.InputError, f"predictions ({tmp_path}/{name}) has no rows"):
            search(tmp_path / name, into=tmp_path / "new.duckdb")


def test_truth_against_numbers_in_a_csv(tmp_path: Path) -> None:
    rows = [{**row, "label": row["label"] == "ape", "prediction": 1} for row in PREDICTIONS]
    path = write(rows, tmp_path / "p.csv")
    with refused(tmp_path, ps.InputError, "predictions.label is boolean", "same type"):
        search(path)


@pytest.mark.parametrize(
    "source", [3, None, PREDICTIONS, {"image_id": [1]}, P["label"], P.to_numpy(), b"p.csv", object]
)
@pytest.mark.parametrize("role", ["predictions", "tags"])
def test_objects_that_are_no_tables(source: Any, role: str) -> None:
    sources = {"predictions": P, "tags": T, role: source}
    with pytest.raises(ps.InputError, match=rf"^{role} is .*; give a Parquet, CSV or JSON-lines"):
        ps.search(**sources)


# Existing databases -------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A DuckDB file with the tables."""
    return write_tables(tmp_path / "data.duckdb", predictions=PREDICTIONS, tags=TAGS)


@pytest.mark.parametrize("case", ["null label", "no image in common", "wide with words"])
def test_database_keeps_what_it_had(case: str, database: Path) -> None:
    search("predictions", "tags", into=database).close()
    options, pieces = TABLES[case]
    with refused(database.parent, ps.InputError, *pieces):
        search(into=database, **options)
    with search("predictions", "tags", into=database) as run:
        assert run.run_id == 2


def test_connection_keeps_what_it_had_and_stays_open() -> None:
    con = ibis.duckdb.connect()
    con.create_table("mine", P)
    with pytest.raises(ps.InputError, match="is null"):
        search(null("label"), into=con)
    assert con.list_tables() == ["mine"]
    assert con.list_databases() == ["information_schema", "main", "pg_catalog"]


# Options ------------------------------------------------------------------------------------------

OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"max_tags": 0}, "max_tags must be at least 1, got 0"),
    ({"max_tags": 7}, "max_tags must be at most 6, got 7"),
    ({"max_tags": float("inf")}, "max_tags must be a whole number, got inf"),
    ({"min_images": 0}, "min_images must be at least 1, got 0"),
    ({"min_images": 2.5}, "min_images must be a whole number, got 2.5"),
    ({"min_images": True}, "min_images must be a whole number, got True"),
    ({"min_images": "30"}, "min_images must be a whole number, got '30'"),
    ({"min_drop": 0}, "min_drop must be between 0.001 and 1, got 0"),
    ({"min_drop": 30}, "min_drop must be between 0.001 and 1, got 30"),
    ({"min_drop": float("nan")}, "min_drop must be a finite number, got nan"),
    ({"necessity": ()}, "necessity needs at least one number"),
    ({"necessity": (0.1, -0.1)}, "necessity must lie between 0 and 1, got -0.1"),
    ({"necessity": "0.1"}, "necessity must be numbers such as (0.10, 0.05, 0.025), got '0.1'"),
    ({"necessity": None}, "necessity must be numbers such as"),
    ({"min_tag_images": 0}, "min_tag_images must be at least 1, got 0"),
    ({"max_absent": -1}, "max_absent must be at least 0, got -1"),
    ({"max_absent": 7}, "max_absent must be at most 6, got 7"),
    ({"max_q": 0}, "max_q must be above 0 and at most 1, got 0"),
    ({"max_q": "5%"}, "max_q must be a finite number, got '5%'"),
    ({"method": "fast"}, "method must be one of exhaustive, greedy, got 'fast'"),
    ({"width": 0}, "width must be at least 1, got 0"),
    ({"split": "half"}, "give split (a column), find and check"),
    ({"split": "half", "find": "a", "check": "a"}, "find and check are both 'a'"),
    ({"group_by": ()}, "group_by needs at least one column"),
    ({"group_by": "label,"}, "group_by must be non-empty text, got ''"),
    ({"group_by": "label,label"}, "group_by names a column twice: label, label"),
    ({"group_by": 5}, "group_by must be one or more columns, got 5"),
    ({"error": ""}, "error must be non-empty text, got ''"),
    ({"where": " "}, "where must be non-empty text, got ' '"),
    ({"where": 1}, "where must be non-empty text, got 1"),
    ({"image_id": ""}, "image_id must be non-empty text, got ''"),
    ({"label": None}, "label must be non-empty text, got None"),
    ({"prediction": 1}, "prediction must be non-empty text, got 1"),
    ({"tag": ""}, "tag must be non-empty text, got ''"),
    ({"score": ""}, "score must be non-empty text, got ''"),
    ({"min_score": "0.5"}, "min_score must be a finite number, got '0.5'"),
    ({"wide": 1}, "wide must be True or False, got 1"),
    ({"wide": True, "min_score": 0.5}, "min_score needs a long tags table"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=[str(case[0]) for case in OPTIONS])
def test_options_out_of_range(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with refused(tmp_path, ps.OptionError, message):
        search(into=tmp_path / "new.duckdb", **options)


def test_every_option_has_a_value_that_is_refused() -> None:
    assert {name for options, _ in OPTIONS for name in options} == {*ps.Options.__annotations__}


# Conditions ---------------------------------------------------------------------------------------

NOT_ONE = ["must be one SQL condition", "split = 'test'"]
NOT_SQL = ["is not an SQL condition"]
CONDITIONS: dict[str, list[str]] = {
    "drop table x": NOT_ONE,
    "true; drop table x": NOT_ONE,
    "select 1": NOT_ONE,
    "*": NOT_ONE,
    "true union all select 1": NOT_ONE,
    "label =": NOT_SQL,
    "true) or (true": NOT_SQL,
    "true limit 3": NOT_SQL,
    "label": ["must be true or false for each row", "'label' is string"],
    "'x'": ["must be true or false for each row"],
    "{{ 1 }}": ["must be true or false for each row"],
    "label + 1 > 2": ["does not fit the predictions: Binder Error: No function matches"],
    "nonsense(label)": ["does not fit the predictions: Catalog Error"],
    "count(*) > 1": ["does not fit the predictions", "aggregates"],
    "row_number() over () > 1": ["does not fit the predictions", "window"],
    "label = ?": ["does not fit the predictions"],
    "tags.label = 'snow'": ["does not fit the predictions", '"tags" not found'],
    "label in (select nope from source_predictions)": ["does not fit the predictions", "nope"],
    "cast(label as integer) > 1": ["cannot be computed on every row", "'ape' to INT32"],
}  # fmt: skip


@pytest.mark.parametrize("option", ["where", "error"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_that_are_none(option: str, condition: str, tmp_path: Path) -> None:
    with refused(tmp_path, ps.OptionError, f"{option} ", *CONDITIONS[condition]):
        search(into=tmp_path / "new.duckdb", **{option: condition})


@pytest.mark.parametrize("option", ["where", "error"])
@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("labl = 'ape'", "no column 'labl'. Did you mean 'label'?"),
        ('split = "test"', "no column 'test'. Text stands in single quotes: 'test'."),
        ("nope = 1", "no column 'nope'. It has: image_id, label, prediction, region, split."),
        ("class_name = 'ape'", "no column 'class_name'."),
    ],
)
def test_conditions_on_unknown_columns(option: str, condition: str, hint: str) -> None:
    with pytest.raises(ps.InputError, match=re.escape(f"{option}: predictions has {hint}")):
        search(**{option: condition})


# Files --------------------------------------------------------------------------------------------


def damaged(whole: bytes) -> bytes:
    """Parquet whose start and end are sound."""
    return whole[:40] + b"\xff" * 100 + whole[140:]


FILES: dict[str, tuple[Callable[[bytes, bytes], bytes], list[str]]] = {
    "empty.csv": (lambda csv, parquet: b"", ["the file", "empty.csv is empty"]),
    "empty.parquet": (lambda csv, parquet: b"", ["the file", "empty.parquet is empty"]),
    "empty.jsonl": (lambda csv, parquet: b"", ["the file", "empty.jsonl is empty"]),
    "text.parquet": (lambda csv, parquet: csv, ["cannot read ROLE", "magic bytes"]),
    "cut.parquet": (lambda csv, parquet: parquet[:-99], ["cannot read ROLE", "magic bytes"]),
    "damaged.parquet": (lambda csv, parquet: damaged(parquet), ["cannot read ROLE", "damaged.par"]),
    "parquet.csv": (lambda csv, parquet: parquet, ["cannot read ROLE", "detect the CSV"]),
    "not.csv.gz": (lambda csv, parquet: csv, ["cannot read ROLE", "GZIP"]),
    "cut.jsonl": (lambda csv, parquet: b'{"image_id": 1}\n{"im', ["cannot read ROLE", "Malformed"]),
    "latin-1.csv": (
        lambda csv, parquet: csv.replace(b"img-000", b"caf\xe9"),
        ["cannot read ROLE", "CSV Error on Line", "not utf-8 encoded"],
    ),
    "headless.csv": (
        lambda csv, parquet: csv.partition(b"\n")[2],
        ["ROLE has no column 'image_id'. It has: img-000"],
    ),
    "a.xlsx": (lambda csv, parquet: b"x", ["ROLE: cannot tell the format of", "give a Parquet"]),
    "text": (lambda csv, parquet: b"x", ["ROLE: cannot tell the format of", "give a Parquet"]),
}


@pytest.mark.parametrize("role", ["predictions", "tags"])
@pytest.mark.parametrize("name", FILES)
def test_files(name: str, role: str, tmp_path: Path) -> None:
    change, pieces = FILES[name]
    rows = PREDICTIONS if role == "predictions" else TAGS
    csv = write(rows, tmp_path / "sound.csv").read_bytes()
    parquet = write(rows, tmp_path / "sound.parquet").read_bytes()
    path = tmp_path / name
    path.write_bytes(change(csv, parquet))
    pieces = [piece.replace("ROLE", role) for piece in pieces]
    with refused(tmp_path, ps.InputError, *pieces):
        search(**{role: path}, into=tmp_path / "new.duckdb")


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        ("predictoins.csv", ["there is no file", "predictoins.csv", "mean 'predictions.csv'?"]),
        ("predictions.parqet", ["there is no file or table", "Give a Parquet"]),
        ("nowhere/p.csv", ["there is no file", "nowhere/p.csv"]),
        ("nothing*.csv", ["no file matches", "nothing*.csv"]),
        ("[!p]*.parquet", ["no file matches"]),
        ("", ["cannot tell the format of", "give a Parquet"]),
        ("no.duckdb:predictions", ["there is no database file", "no.duckdb"]),
        ("data.duckdb", ["data.duckdb is a database; name a table in it", "data.duckdb:TABLE"]),
        ("data.duckdb:", ["there is no file or table"]),
        ("data.duckdb:predictoins", ["there is no file or table", "mean 'predictions'?"]),
        ("data.duckdb:Predictions", ["there is no file or table", "mean 'predictions'?"]),
        ("data.duckdb:nowhere.tags", ["there is no file or table"]),
        ("data.duckdb:broken", ["cannot read predictions", "broken"]),
    ],
)
def test_names_of_nothing(source: str, pieces: list[str], database: Path) -> None:
    write(PREDICTIONS, database.parent / "predictions.csv")
    with duckdb.connect(database) as con:
        con.execute("create table gone (x int); create view broken as from gone; drop table gone")
    with refused(database.parent, ps.InputError, *pieces):
        search(f"{database.parent}/{source}", into=database.parent / "new.duckdb")


def test_name_that_is_no_table_of_the_target(database: Path) -> None:
    with refused(database.parent, ps.InputError, "tags", "no file or table tag.", "mean 'tags'?"):
        search("predictions", "tag", into=database)


def test_messages_hide_credentials() -> None:
    with pytest.raises(ps.InputError) as caught:
        search("postgres://me:secret@host/predictions")
    assert "secret" not in str(caught.value)


# Databases that cannot be opened ------------------------------------------------------------------


@pytest.mark.parametrize("as_source", [True, False], ids=["source", "into"])
@pytest.mark.parametrize("content", [b"text, and a good deal of it " * 500, b"short", b""])
def test_text_in_the_place_of_a_database(content: bytes, as_source: bool, tmp_path: Path) -> None:
    path = tmp_path / "text.duckdb"
    path.write_bytes(content)
    with refused(tmp_path, ps.WarehouseError, "text.duckdb exists but is not a DuckDB database"):
        search(f"{path}:p" if as_source else P, into=None if as_source else path)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_table_in_the_place_of_a_database(ending: str, tmp_path: Path) -> None:
    path = write(PREDICTIONS, tmp_path / f"p.{ending}")
    with refused(tmp_path, ps.WarehouseError, "exists but is not a DuckDB database"):
        search(path, into=path)


@pytest.mark.parametrize("as_source", [True, False], ids=["source", "into"])
def test_database_that_another_process_holds(as_source: bool, database: Path) -> None:
    hold = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        pieces = ["data.duckdb is in use by another process", str(holder.pid), "try again"]
        source, into = (f"{database}:predictions", None) if as_source else (P, database)
        with refused(database.parent, ps.WarehouseError, *pieces):
            search(source, into=into)
        holder.communicate(b"\n")
    with search("predictions", "tags", into=database) as run:
        assert run.run_id == 1


def test_database_that_this_process_holds_in_another_way(database: Path) -> None:
    con = duckdb.connect(database)
    with refused(database.parent, ps.WarehouseError, "already open in this process", "close"):
        search(f"{database}:predictions")
    con.close()


@pytest.mark.parametrize(
    ("into", "pieces"),
    [
        ("missing/new.duckdb", ["the folder", "missing does not exist; make it first"]),
        (".", ["is a folder; name a DuckDB file in it"]),
    ],
)
def test_places_for_a_database(into: str, pieces: list[str], tmp_path: Path) -> None:
    with refused(tmp_path, ps.WarehouseError, *pieces):
        search(into=tmp_path / into)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_places_that_cannot_be_written(what: str, database: Path) -> None:
    (database.parent if what == "folder" else database).chmod(0o500)
    with refused(database.parent, ps.WarehouseError, "cannot open", "Permission denied"):
        search(into=database.parent / "new.duckdb" if what == "folder" else database)
    database.parent.chmod(0o700)


def test_objects_that_are_no_place(tmp_path: Path) -> None:
    sqlite = write_sqlite(tmp_path / "data.sqlite", predictions=PREDICTIONS)
    with refused(tmp_path, ps.WarehouseError, "into is a sqlite connection", "DuckDB"):
        search(into=sqlite)
    for into in (3, ["x.duckdb"], duckdb.connect()):
        with refused(tmp_path, ps.WarehouseError, "into is ", type(into).__name__, "give a DuckDB"):
            search(into=into)


def test_connections_and_tables_that_are_gone() -> None:
    con = ibis.duckdb.connect()
    con.create_table("p", P)
    table = con.table("p")
    con.drop_table("p")
    with pytest.raises(ps.InputError, match=r"cannot read predictions \(ibis table p\).*not exist"):
        search(table)
    con.disconnect()
    with pytest.raises(ps.InputError, match=r"cannot read predictions \(ibis table p\).*closed"):
        search(table)
