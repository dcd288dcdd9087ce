"""Steps over images: nothing twice, nothing lost, whatever happens in between."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest

import prime_sql as ps
from prime_sql.vision import load_images
from prime_sql.vision.functions import ImageFunction
from tests.vision.few_and_many import FEW, SMALL, embeddings, expected, problems, query
from tests.vision.models import Failing, MeanColour, colour_of, embed_mean
from tests.vision.samples import write_numbered

# Again --------------------------------------------------------------------------------------------


def test_only_what_is_new(tmp_path: Path) -> None:
    folder, db = tmp_path / "pictures", tmp_path / "a.duckdb"
    write_numbered(folder, 5)
    load_images(folder, db)
    model = MeanColour()
    done = embed_mean(db, model)
    assert (done.step, done.model, done.table) == ("embed", "mean colour", "embeddings")
    assert (done.images, done.problems, model.seen) == (5, 0, 5)
    assert embed_mean(db, model).images == 0
    assert model.seen == 5

    write_numbered(folder, 3, first=5)
    load_images(folder, db)
    assert (embed_mean(db, model).images, model.seen) == (3, 8)
    assert embeddings(db) == expected(*range(8))

    (folder / "00002.png").write_bytes((folder / "00007.png").read_bytes())
    with pytest.warns(ps.InputWarning, match="'00007.png' that of '00002.png'"):
        load_images(folder, db)
    assert (embed_mean(db, model).images, model.seen) == (1, 9)
    assert embeddings(db) == {**expected(*range(8)), "00002.png": colour_of(7)}


def test_models_and_tables_do_not_mix(few: Path) -> None:
    one, other = MeanColour(), MeanColour("it's another")
    embed_mean(few, one, chunk=SMALL)
    assert embed_mean(few, other).images == FEW
    assert embed_mean(few, one, table='my "own" table').images == FEW
    assert query(few, "select count(*) from embeddings") == [(2 * FEW,)]
    for model in (one, other):
        assert embed_mean(few, model).images == 0
    rows = query(few, "select table_name, model from model_settings order by all")
    assert rows == [
        ("embeddings", "it's another"),
        ("embeddings", "mean colour"),
        ('my "own" table', "mean colour"),
    ]


def test_each_picture_is_decoded_once(few: Path) -> None:
    model, decoded = MeanColour(), Counter[str]()

    def work(uri: str) -> Any:
        decoded[uri] += 1
        return ImageFunction.over(model, "mean_colour")._work(uri)

    function = ImageFunction("mean_colour", model.returns, work, model.run, batch_size=3)
    embed_mean(few, model, function=function, chunk=SMALL)
    assert embeddings(few) == expected(*range(FEW))
    assert set(decoded.values()) == {1}
    assert len(decoded) == FEW


def test_images_without_a_file(few: Path) -> None:
    """Listed with a reason, tried again at the next run, and gone when they are back."""
    folder = Path(query(few, "select uri from images")[0][0]).parent
    away = folder.with_name("away")
    moved = [folder / f"{number:05}.png" for number in (3, 4, 11)]
    model = MeanColour()
    folder.rename(away)
    try:
        done = embed_mean(few, model, chunk=SMALL)
        assert (done.images, done.problems, model.seen) == (0, FEW, 0)
        assert set(problems(few).values()) == {"there is no such file"}
    finally:
        away.rename(folder)
    away.mkdir()
    for path in moved:
        path.rename(away / path.name)
    try:
        done = embed_mean(few, model, chunk=SMALL)
    finally:
        for path in moved:
            (away / path.name).rename(path)
        away.rmdir()
    assert (done.images, done.problems) == (FEW - 3, 3)
    assert problems(few).keys() == {path.name for path in moved}
    rows = query(few, "select distinct step, model from image_problems")
    assert rows == [("embed", "mean colour")]
    assert embed_mean(few, model).images == 3
    assert (problems(few), embeddings(few)) == ({}, expected(*range(FEW)))


def test_images_of_the_users_own_without_uri_and_bytes(few: Path) -> None:
    with duckdb.connect(few) as con:
        con.execute("insert into images values ('x', null, 1, 1, null, null, ''), "
                    "('y', '', 1, 1, null, null, '')")  # fmt: skip
    done = embed_mean(few, MeanColour())
    assert (done.images, done.problems) == (FEW, 2)
    assert problems(few)["x"] == "it has neither a file nor bytes"


def test_two_images_of_one_file(few: Path) -> None:
    with duckdb.connect(few) as con:
        con.execute("insert into images select 'again', * exclude image_id from images limit 1")
        con.execute("insert into images values ('p', 'no', 1, 1, null, null, ''), "
                    "('q', 'no', 1, 1, null, null, '')")  # fmt: skip
    done = embed_mean(few, MeanColour(), chunk=SMALL)
    assert (done.images, done.problems) == (FEW + 1, 2)
    assert embeddings(few)["again"] == colour_of(0)
    assert problems(few) == dict.fromkeys("pq", "there is no such file")


def test_bytes(tmp_path: Path) -> None:
    write_numbered(tmp_path, 12)
    files = sorted(tmp_path.glob("*.png"))
    rows = {"image_id": [path.name for path in files], "bytes": [p.read_bytes() for p in files]}
    db = tmp_path / "bytes.duckdb"
    load_images(pa.table(rows), db)
    embed_mean(db, MeanColour(), chunk=5)
    assert embeddings(db) == expected(*range(12))
    with duckdb.connect(db) as con:
        con.execute("update image_bytes set bytes = 'no picture' where image_id = '00001.png'")
        con.execute("delete from image_bytes where image_id = '00002.png'")
    other = MeanColour("other")
    assert embed_mean(db, other).problems == 2
    assert problems(db) == {
        "00001.png": "not an image of a known format",
        "00002.png": "it has neither a file nor bytes",
    }
    assert query(db, "select distinct uri from image_problems") == [(None,)]


def test_a_model_without_an_answer(few: Path) -> None:
    class Silent(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            return pa.nulls(len(batch), self.returns)

    done = embed_mean(few, Silent())
    assert (done.images, done.problems) == (0, FEW)
    assert set(problems(few).values()) == {"the model gave nothing for it"}


def test_a_picture_that_a_model_cannot_prepare(few: Path) -> None:
    class Picky(MeanColour):
        def prepare(self, picture: Any) -> Any:
            if picture.getpixel((0, 0))[0] in (5, 6):
                raise ZeroDivisionError("too\nred")
            return super().prepare(picture)

    assert embed_mean(few, Picky()).problems == 2
    assert problems(few) == dict.fromkeys(["00005.png", "00006.png"], "ZeroDivisionError: too")


def test_progress(few: Path) -> None:
    seen: list[Any] = []
    embed_mean(few, MeanColour(), chunk=SMALL, batch_size=3, on_images=seen.append)
    assert [p.done for p in seen] == [0, 3, 6, 8, 11, 14, 16, 19, 20]
    assert {(p.step, p.total) for p in seen} == {("embed", FEW)}
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen)


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(ps.InputError, match=r"no database .*; `prime-sql images FOLDER"):
        embed_mean(tmp_path / "a.duckdb", MeanColour())
    db = tmp_path / "b.duckdb"
    query(db, "select 1")
    with pytest.raises(ps.InputError, match="holds no images"):
        embed_mean(db, MeanColour())
    assert query(db, "select * from duckdb_tables()") == []  # nothing was made in it


def test_a_table_of_the_users_own(few: Path) -> None:
    with duckdb.connect(few) as con:
        con.execute("create table embeddings as select 'a' as image_id, [1.0] as vector")
        con.execute("create table numbered (image_id bigint, model varchar, embedding float[3])")
    with pytest.raises(ps.InputError, match=r"without the column 'model'; name another .* --table"):
        embed_mean(few, MeanColour())
    with pytest.raises(ps.InputError, match="whose image_id is BIGINT"):
        embed_mean(few, MeanColour(), table="numbered")
    assert query(few, "from embeddings") == [("a", [1.0])]


def test_the_sessions_own_names_are_free(few: Path) -> None:
    names = ["to_do", "outputs", "problems", "chunk_1", f"chunk_{1 + SMALL}"]
    with duckdb.connect(few) as con:
        for name in names:
            con.execute(f"create table {name} as select 42 as answer")
    embed_mean(few, MeanColour(), chunk=SMALL)
    assert embeddings(few) == expected(*range(FEW))
    assert [query(few, f"from {name}") for name in names] == [[(42,)]] * len(names)


def test_an_ibis_connection_is_left_open(few: Path) -> None:
    connection = ibis.duckdb.connect(few)
    assert embed_mean(connection, MeanColour(), chunk=SMALL).images == FEW
    assert connection.table("embeddings").count().execute() == FEW
    assert connection.raw_sql("select 42").fetchall() == [(42,)]
    temporary = "select count(*) from duckdb_tables() where temporary"
    assert connection.raw_sql(temporary).fetchall() == [(0,)]


# Settings -----------------------------------------------------------------------------------------


def test_settings_do_not_mix(few: Path) -> None:
    model = MeanColour()
    embed_mean(few, model, settings={"size": 224, "mean": (0.5, 0.5), "file": None})
    same = {"file": None, "size": 224, "mean": [0.5, 0.5]}
    assert embed_mean(few, model, settings=same).images == 0
    message = (
        "embeddings holds results of mean colour with other settings .size.; .*--replace.* --name"
    )
    with pytest.raises(ps.OptionError, match=message):
        embed_mean(few, model, settings={**same, "size": 384})
    with pytest.raises(ps.OptionError, match="crop, mean, size"):
        embed_mean(few, model, settings={"crop": 1, "file": None})
    assert model.seen == FEW

    assert embed_mean(few, model, settings={"size": 384}, replace=True).images == FEW
    assert embeddings(few) == expected(*range(FEW))
    assert embed_mean(few, model, settings={"size": 384}).images == 0
    assert query(few, "select count(*) from model_settings") == [(1,)]


def test_settings_of_nothing_bind_nobody(few: Path) -> None:
    """A first try that failed, or results that were deleted, are not results."""
    with pytest.raises(ps.PrimeSqlError):
        embed_mean(few, Failing(at=1), settings={"size": 1})
    assert embed_mean(few, MeanColour(), settings={"size": 2}).images == FEW
    with duckdb.connect(few) as con:
        con.execute("delete from embeddings")
    assert embed_mean(few, MeanColour(), settings={"size": 3}).images == FEW


def test_replace_leaves_other_models_alone(few: Path) -> None:
    embed_mean(few, MeanColour("other"))
    embed_mean(few, MeanColour(), replace=True)
    embed_mean(few, MeanColour(), replace=True)
    assert embeddings(few) == embeddings(few, "other") == expected(*range(FEW))
