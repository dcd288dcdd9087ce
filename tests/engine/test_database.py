"""Databases that are there, and those that cannot be opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import ibis
import pytest

import prime_sql as ps
from tests.discovery.bad_tables import TABLES, P, null
from tests.refusals import refused
from tests.tables import PREDICTIONS, search, write, write_sqlite

# Existing databases -------------------------------------------------------------------------------


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
