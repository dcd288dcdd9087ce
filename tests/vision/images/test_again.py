"""Images loaded again, and what else is in the database."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import duckdb
import ibis
import polars as pl
import pytest

import prime_sql as ps
from prime_sql.vision import load_images
from tests.vision.images.listing import (
    BROKEN,
    BYTES,
    EXPECTED,
    NAMES,
    ROWS,
    content_of,
    labels,
    problems,
    query,
    write,
)

# Again --------------------------------------------------------------------------------------------


def test_nothing_is_done_twice(folder: Path, db: Path) -> None:
    write(folder, "a.png", "b.png")
    (folder / "bad.png").write_bytes(BROKEN)
    assert (load_images(folder, db).images, problems(db).keys()) == (2, {"bad.png"})
    done = load_images(folder, db)
    assert (done.images, done.problems) == (0, 1)
    assert (len(labels(db)), problems(db).keys()) == (2, {"bad.png"})

    write(folder, "new.png")
    (folder / "new.bad").write_bytes(BROKEN)
    done = load_images(folder, db)
    assert (done.images, done.problems) == (1, 2)
    assert labels(db).keys() == {"a.png", "b.png", "new.png"}
    assert problems(db).keys() == {"bad.png", "new.bad"}

    write(folder, "bad.png")
    done = load_images(folder, db)
    assert (done.images, done.problems) == (1, 1)
    assert labels(db).keys() == {"a.png", "b.png", "new.png", "bad.png"}
    assert problems(db).keys() == {"new.bad"}


def test_two_folders_in_one_database(folder: Path, db: Path, tmp_path: Path) -> None:
    load_images(write(folder, "cat/a.png"), db)
    load_images(write(tmp_path / "more", "cat/b.png"), db)
    assert labels(db).keys() == {"cat/a.png", "cat/b.png"}


def test_another_image_of_the_same_id(folder: Path, db: Path, tmp_path: Path) -> None:
    load_images(write(folder, "cat/a.png", "cat/b.png"), db)
    other = write(tmp_path / "other", "cat/a.png", "cat/c.png")
    with pytest.raises(ps.InputError, match=r"other images of the same image_id, 1 .*'cat/a.png'"):
        load_images(other, db)
    assert labels(db).keys() == {"cat/a.png", "cat/b.png"}
    assert load_images(other, db, replace=True).images == 2
    assert dict(query(db, "select image_id, uri from images")) == {
        "cat/a.png": str(other / "cat/a.png"),
        "cat/b.png": str(folder / "cat/b.png"),
        "cat/c.png": str(other / "cat/c.png"),
    }


def test_other_bytes_of_the_same_id(db: Path) -> None:
    one, other = (pl.DataFrame({"image_id": [1], "bytes": [content]}) for content in BYTES[:2])
    load_images(one, db)
    assert load_images(one, db).images == 0
    with pytest.raises(ps.InputError, match="such as '1'"):
        load_images(other, db)
    load_images(other, db, replace=True)
    assert query(db, "from image_bytes") == [("1", BYTES[1])]


RESULTS = """
create table {name} (image_id varchar, {column} varchar);
insert into {name} select image_id, 'm' from images;
insert into {name} select image_id, 'of somebody else' from images;
insert into model_settings values ('{step}', '{name}', 'm', '{{}}');
"""


def with_results(db: Path) -> None:
    """As if steps had filled their tables; rows of no model's settings are not ours."""
    with duckdb.connect(db) as con:
        for step, name, column in [
            ("embed", "embeddings", "model"),
            ("embed", "other embeddings", "model"),
            ("predict", "predictions", "model"),
            ("tag", "tags", "tagger"),
        ]:
            con.execute(RESULTS.format(step=step, name=f'"{name}"', column=column).replace(
                f"""'"{name}"'""", f"'{name}'"))  # fmt: skip
        con.execute("create table tagged_images as select image_id, 'm' as tagger from images")


TABLES = ["embeddings", "other embeddings", "predictions", "tags", "tagged_images"]


def kept(db: Path) -> dict[str, set[str]]:
    """Of which images each table has results of the model."""
    columns = {"tags": "tagger", "tagged_images": "tagger"}
    return {
        table: {
            i
            for (i,) in query(
                db, f"select image_id from \"{table}\" where {columns.get(table, 'model')} = 'm'"
            )
        }
        for table in TABLES
    }


def test_replace(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png", "b.png", "c.png", "d.png"), db)
    with_results(db)
    before = query(db, "from images order by image_id")
    (folder / "b.png").write_bytes(content_of("other"))
    (folder / "c.png").write_bytes(BROKEN)
    assert query(db, "from images order by image_id") == before

    done = load_images(folder, db, replace=True)
    assert (done.images, done.problems, done.changed) == (3, 1, 2)
    assert labels(db).keys() == {"a.png", "b.png", "d.png"}
    assert problems(db).keys() == {"c.png"}
    assert kept(db) == {table: {"a.png", "d.png"} for table in TABLES}
    rows = "select count(*) from predictions where model = 'of somebody else'"
    assert query(db, rows) == [(4,)]
    sha = dict(query(db, "select image_id, sha256 from images"))["b.png"]
    assert sha == hashlib.sha256(content_of("other")).hexdigest()


def test_replace_the_label(pictures: Path, db: Path) -> None:
    frame = pl.DataFrame(ROWS)
    load_images(frame, db, root=pictures, **NAMES)
    with_results(db)
    changed = frame.with_columns(pl.Series("class", ["1", "2", None]))
    assert load_images(changed, db, root=pictures, **NAMES).images == 0
    assert labels(db) == EXPECTED
    assert load_images(changed, db, root=pictures, replace=True, **NAMES).images == 3
    assert labels(db)["1e3"] == ("test", "2")
    assert kept(db) == {table: {"007", "x"} for table in TABLES}


def test_replace_bytes(db: Path) -> None:
    frame = pl.DataFrame({"image_id": ["a", "b"], "bytes": BYTES[:2]})
    load_images(frame, db)
    with_results(db)
    changed = frame.with_columns(pl.Series("bytes", [BYTES[0], content_of("new")]))
    load_images(changed, db, replace=True)
    assert dict(query(db, "from image_bytes")) == {"a": BYTES[0], "b": content_of("new")}
    assert kept(db) == {table: {"a"} for table in TABLES}


def test_replace_after_a_table_was_dropped(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png"), db)
    with_results(db)
    with duckdb.connect(db) as con:
        con.execute("drop table predictions")
    (folder / "a.png").write_bytes(content_of("other"))
    assert load_images(folder, db, replace=True).images == 1


# The database -------------------------------------------------------------------------------------


def dump(db: Path) -> dict[str, Any]:
    with duckdb.connect(db) as con:
        names = [name for (name,) in con.sql("select table_name from duckdb_tables()").fetchall()]
        return {name: con.sql(f'from "{name}"').fetchall() for name in names}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("create table images as select 'a' as image_id, 'x.png' as file", "without .* 'uri'"),
        ("create table images as select 'a' as id", "without the column 'image_id'; rename it"),
        (
            "create table images (image_id integer, uri varchar, width integer, height integer, "
            "split varchar, label varchar, sha256 varchar)",
            "whose image_id is INTEGER",
        ),
        ("create view images as select 'a' as image_id", "without the column 'uri'"),
        ("create table image_files as select 'a' as image_id", "image_files .*'file_size'; rename"),
    ],
)
def test_an_images_table_of_the_users_own(
    statement: str, message: str, folder: Path, db: Path
) -> None:
    with duckdb.connect(db) as con:
        con.execute(statement)
    before = dump(db)
    with pytest.raises(ps.InputError, match=message):
        load_images(write(folder, "a.png"), db)
    assert dump(db) == before


def test_other_tables_of_the_users_own(folder: Path, db: Path) -> None:
    """The names of the session's own tables are free for the user's."""
    names = ["listed", "to_do", "outputs", "problems", "changed", "chunk_1", "chunk_513"]
    names += ["source_images_rows", "gone", "changed_files", "touched", "forgotten"]
    with duckdb.connect(db) as con:
        for name in names:
            con.execute(f"create table {name} as select 42 as answer")
    load_images(write(folder, "a.png"), db)
    frame = pl.DataFrame({"uri": [str(write(folder, "b.png") / "b.png")]})
    load_images(frame, db)
    found = dump(db)
    assert {name: found[name] for name in names} == {name: [(42,)] for name in names}
    assert len(found["images"]) == 2


def test_an_ibis_connection(folder: Path) -> None:
    connection = ibis.duckdb.connect()
    load_images(write(folder, "a.png"), connection)
    assert connection.table("images").image_id.to_pyarrow().to_pylist() == ["a.png"]
    assert sorted(connection.list_tables()) == [
        "image_bytes",
        "image_files",
        "image_problems",
        "images",
        "model_settings",
    ]


def test_a_database_that_cannot_keep_them(folder: Path, db: Path) -> None:
    write(folder, "a.png")
    for nowhere in (None, ":memory:"):
        with pytest.raises(ps.InputError, match="a database that stays"):
            load_images(folder, nowhere)
    load_images(folder, db)
    connection = ibis.duckdb.connect(db, read_only=True)
    with pytest.raises(ps.WarehouseError, match="for reading only"):
        load_images(folder, connection)
    connection.disconnect()
    with pytest.raises(ps.WarehouseError, match="is not a DuckDB database"):
        load_images(folder, folder / "a.png")
    with pytest.raises(ps.WarehouseError, match="does not exist; make it first"):
        load_images(folder, folder / "nowhere" / "a.duckdb")


def test_nothing_is_left_in_the_folder_of_the_database(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png"), db)
    assert {path.name for path in db.parent.iterdir()} == {db.name, folder.name}


def test_the_tables_say_what_they_hold(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png"), db)
    missing = "select table_name, column_name from duckdb_columns() where comment is null"
    assert query(db, missing + " and database_name = current_database()") == []
    assert not re.search("null", str(query(db, "select comment from duckdb_tables()")), re.I)
