"""Files and names that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import prime_sql as ps
from tests.refusals import refused
from tests.tables import PREDICTIONS, TAGS, search, write


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
    "parquet.csv": (
        lambda csv, parquet: parquet,
        ["cannot read ROLE", "as CSV: it is not text"],
    ),
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
