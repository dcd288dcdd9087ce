"""A model in SQL: the same results as the command's, from any DuckDB connection and from Ibis."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pytest

from prime_sql.engine.errors import OptionError, PrimeSqlError
from prime_sql.vision import load_images, register
from prime_sql.vision.functions import ImageFunction, udf
from prime_sql.vision.pictures import decode, read
from tests.vision.models import MeanColour, colour_of, embed_mean
from tests.vision.samples import write_numbered

COUNT = 2300  # more than one of DuckDB's batches, which are of 2,048 rows


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of images, with the command's embeddings."""
    folder = tmp_path_factory.mktemp("functions")
    write_numbered(folder / "pictures", COUNT)
    load_images(folder / "pictures", folder / "images.duckdb")
    embed_mean(folder / "images.duckdb", MeanColour())
    return folder / "images.duckdb"


class Reader:
    """A connection of DuckDB's or of Ibis's: what both are asked in these tests."""

    def __init__(self, kind: str, path: Path) -> None:
        if kind == "duckdb":
            self.connection: Any = duckdb.connect(path)
            self.query = self.connection.execute
        else:
            self.connection = ibis.duckdb.connect(path)
            self.query = self.connection.raw_sql

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.query(sql).fetchall()
        return found


@pytest.fixture(params=["duckdb", "ibis"])
def reader(request: pytest.FixtureRequest, path: Path) -> Any:
    reader = Reader(request.param, path)
    yield reader
    (reader.connection.close if request.param == "duckdb" else reader.connection.disconnect)()


class Classifier(MeanColour):
    returns = pa.struct([("prediction", pa.string()), ("confidence", pa.float32())])

    def run(self, batch: Any) -> pa.Array:
        self.batches.append(len(batch))
        answers = [
            {"prediction": "dark" if sum(b) < 300 else "light", "confidence": 0.5} for b in batch
        ]
        return pa.array(answers, self.returns)


class Tagger(MeanColour):
    returns = pa.list_(pa.struct([("tag", pa.string()), ("score", pa.float32())]))

    def run(self, batch: Any) -> pa.Array:
        tags = [
            [{"tag": n, "score": float(v)} for n, v in zip("rgb", b, strict=True) if v]
            for b in batch
        ]
        return pa.array(tags, self.returns)


class WithTexts(MeanColour):
    def embed_text_array(self, texts: pa.ChunkedArray) -> pa.Array:
        lengths = [None if t is None else [float(len(t))] * 3 for t in texts.to_pylist()]
        return pa.array(lengths, self.returns)


def test_the_same_as_the_command(reader: Reader) -> None:
    model = MeanColour()
    register(reader.connection, model, "clip_embed")
    found = reader.rows("select image_id, clip_embed(uri) from images")
    assert len(found) == COUNT
    assert sorted(found) == reader.rows(
        "select image_id, embedding from embeddings order by image_id"
    )
    assert found[0][1] == colour_of(int(found[0][0][:5]))
    assert model.seen == COUNT
    # More than one call of the engine's, and in each of them full batches.
    assert set(model.batches) <= {8, (COUNT - 2048) % 8}


def test_its_type_is_that_of_the_table(reader: Reader) -> None:
    register(reader.connection, MeanColour(), "clip_embed")
    assert reader.rows("select distinct typeof(clip_embed(uri)) from images limit 1") == [
        ("FLOAT[3]",)
    ]
    closest = (
        "select image_id from images order by array_distance(clip_embed(uri), "
        "[9.0, 1.0, 77.0]::float[3]), image_id limit 1"
    )
    assert reader.rows(closest) == [("00265.png",)]


def test_other_types(reader: Reader) -> None:
    register(reader.connection, Classifier(), "classify")
    register(reader.connection, Tagger(), "tags_of")
    counts = "select classify(uri).prediction as p, count(*) from images group by p order by p"
    dark = sum(sum(colour_of(n)) < 300 for n in range(COUNT))
    assert reader.rows(counts) == [("dark", dark), ("light", COUNT - dark)]
    tags = (
        "select image_id, t.tag, t.score from (select image_id, unnest(tags_of(uri)) as t "
        "from images where image_id < '00002.png') order by all"
    )
    assert reader.rows(tags) == [
        ("00000.png", "b", 77.0),
        ("00001.png", "b", 77.0),
        ("00001.png", "r", 1.0),
    ]


def test_null_and_bad(reader: Reader) -> None:
    function = register(reader.connection, MeanColour(), "clip_embed")
    uris = "(values (1, null), (2, 'nowhere.png'), (3, ''), (4, (select uri from images limit 1)))"
    found = reader.rows(f"select id, clip_embed(uri) is null from {uris} as t(id, uri) order by id")
    assert found == [(1, True), (2, True), (3, True), (4, False)]
    assert function.problems == {"nowhere.png": "there is no such file", "": "its name is empty"}
    assert reader.rows("select clip_embed(null), clip_embed('nowhere.png')") == [(None, None)]
    assert reader.rows("select clip_embed(uri) from images where false") == []


def test_in_every_place(reader: Reader) -> None:
    """WHERE, JOIN, ORDER BY, GROUP BY, a lateral alias, a view, a table of its own."""
    register(reader.connection, MeanColour(), "clip_embed")
    few = "(select * from images where image_id < '00010.png')"
    where = f"select image_id from {few} where clip_embed(uri)[1] > 7 order by image_id"
    assert reader.rows(where) == [("00008.png",), ("00009.png",)]
    lateral = f"select clip_embed(uri) as e, e[1] + e[3] as x from {few} where x > 85 order by x"
    assert [x for _, x in reader.rows(lateral)] == [86.0]
    join = (
        f"select count(*) from {few} as a join {few} as b "
        "on clip_embed(a.uri)[1] + 1 = clip_embed(b.uri)[1]"
    )
    assert reader.rows(join) == [(9,)]
    group = f"select clip_embed(uri)[3] as b, count(*) from {few} group by b"
    assert reader.rows(group) == [(77.0, 10)]
    beside = (
        f"select count(*) from {few} as i join lateral (select clip_embed(i.uri) as e) on e[1] > 5"
    )
    assert reader.rows(beside) == [(4,)]
    reader.query(f"create temp table kept as select image_id, clip_embed(uri) as e from {few}")
    assert reader.rows("select max(e[1]) from kept") == [(9.0,)]
    reader.query("create temp view seen as select image_id, clip_embed(uri) as e from images")
    assert reader.rows("select e from seen where image_id = '00007.png'") == [(colour_of(7),)]


def test_registered_twice(reader: Reader) -> None:
    first, second = MeanColour("first"), Classifier("second")
    register(reader.connection, first, "f")
    few = "from images where image_id < '00003.png' order by image_id"
    assert reader.rows(f"select f(uri)[1] {few}") == [(0.0,), (1.0,), (2.0,)]
    register(reader.connection, second, "f")
    assert reader.rows(f"select f(uri).prediction {few}") == [("dark",)] * 3
    register(reader.connection, second, "g")
    assert reader.rows(f"select count(*) {few.partition('order')[0]} and f(uri) = g(uri)") == [(3,)]
    assert first.seen == 3


def test_registered_again_on_another_connection(path: Path) -> None:
    """A notebook's cell that connects runs twice; functions belong to the database, not to it."""
    few = "from images where image_id < '00002.png' order by image_id"
    with duckdb.connect(path) as one, duckdb.connect(path) as other:
        register(one, MeanColour(), "f")
        register(other, MeanColour(), "f")
        register(other, Classifier(), "F")
        for connection in (one, other):
            found = connection.sql(f"select f(uri).prediction {few}").fetchall()
            assert found == [("dark",)] * 2
        register(one.cursor(), MeanColour(), "f")  # a connection that is gone by the next line
        for connection in (one, other):
            assert connection.sql(f"select f(uri)[1] {few}").fetchall() == [(0.0,), (1.0,)]
        register(one, Classifier(), "f")
        assert other.sql(f"select f(uri).prediction {few}").fetchall() == [("dark",)] * 2


@pytest.mark.parametrize("name", ["lower", "LOWER", "mine"])
def test_a_function_of_somebody_else_is_left_alone(name: str) -> None:
    with duckdb.connect() as connection, connection.cursor() as other:
        connection.execute("create macro mine(x) as x || '!'")
        with pytest.raises(OptionError, match=f"a function {name} already; choose another name"):
            register(other, MeanColour(), name)
        assert connection.sql("select lower('A'), mine('A')").fetchall() == [("a", "A!")]


def test_texts(reader: Reader) -> None:
    register(reader.connection, WithTexts(), "clip_embed")
    sql = "select clip_embed_text(t) from (values ('ab'), (null), ('')) as v(t)"
    assert reader.rows(sql) == [((2.0,) * 3,), (None,), ((0.0,) * 3,)]


def test_a_quoted_name(reader: Reader) -> None:
    register(reader.connection, MeanColour(), "my embed")
    sql = "select \"my embed\"(uri)[1] from images where image_id = '00004.png'"
    assert reader.rows(sql) == [(4.0,)]


def test_a_model_that_fails(reader: Reader) -> None:
    class Failing(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            raise PrimeSqlError("the model is broken")

    function = register(reader.connection, Failing(), "clip_embed")
    with pytest.raises(duckdb.Error, match="the model is broken"):
        reader.rows("select clip_embed(uri) from images limit 1")
    assert isinstance(function.failure, PrimeSqlError)
    assert reader.rows("select 42") == [(42,)]


def test_two_connections_at_once(path: Path) -> None:
    model = MeanColour()
    connections = [duckdb.connect(path)]
    register(connections[0], model, "f", batch_size=16, threads=2)
    connections += [connections[0].cursor() for _ in range(3)]
    found: list[Any] = [None] * 4

    def ask(place: int) -> None:
        sql = f"select image_id, f(uri) from images where ascii(image_id[5]) % 4 = {place}"
        found[place] = connections[place].execute(sql).fetchall()

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [row for part in found for row in part]
    assert sorted(rows) == [(f"{n:05}.png", colour_of(n)) for n in range(COUNT)]
    for connection in connections:
        connection.close()


def test_in_an_ibis_expression(path: Path) -> None:
    connection = ibis.duckdb.connect(path)
    model = MeanColour()
    function = ImageFunction.over(model, "mean_colour")
    mean = udf(function, "mean_colour", ["string"], model.returns)
    images = connection.table("images")
    table = images.mutate(mean=mean(images.uri)).filter(images.image_id < "00300.png")
    found = table.select("image_id", "mean").order_by("image_id").to_pyarrow()
    assert found.column("mean").type == model.returns
    assert found.column("mean").to_pylist() == [list(colour_of(n)) for n in range(300)]
    red = table.filter(table.mean[0] > 250).image_id.to_pyarrow().to_pylist()
    assert sorted(red) == [f"{n:05}.png" for n in range(251, 256)]
    joined = table.join(connection.table("embeddings"), "image_id")
    assert joined.filter(joined.mean == joined.embedding).count().to_pyarrow().as_py() == 300
    connection.disconnect()


def test_of_two_arguments() -> None:
    def join(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.Array:
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return pa.array([None if r is None else f"{lft}-{r}" for lft, r in pairs], pa.string())

    both = udf(join, "both", ["string", "string"], pa.string())
    table = ibis.memtable({"a": ["x", "y", None], "b": ["1", None, "3"]})
    found = ibis.duckdb.connect().to_pyarrow(table.select(c=both(table.a, table.b)))
    assert found.column("c").to_pylist() == ["x-1", None, "None-3"]


def test_the_readmes_example_in_sql_ranks_images(clip_folder, tmp_path, monkeypatch):
    """As written, but for the model, which is one that need not be downloaded."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(
        r"```python\n(import duckdb\nfrom prime_sql import vision\n.*?)```", readme, re.S
    )
    named = '"ViT-B-32", "laion2b_s34b_b79k"'
    assert named in block
    monkeypatch.chdir(tmp_path)
    write_numbered(tmp_path / "pictures", 12)
    load_images("pictures", "prime.duckdb")
    said: dict[str, Any] = {}
    exec(
        block.replace(named, f"{str(clip_folder)!r}, None").replace("con.sql(", "found = con.sql("),
        said,
    )
    rows = said["found"].fetchall()
    clip = said["clip"]
    assert len(rows) == 10
    uris = [row[said["found"].columns.index("uri")] for row in rows]
    pictures = [clip.prepare(decode(read(uri), clip.pixels)) for uri in uris]
    cosine = np.array(clip.run(pictures).to_pylist()) @ clip.embed_texts(["a wet dog"])[0]
    assert (np.diff(cosine) <= 1e-6).all()
    said["con"].close()
