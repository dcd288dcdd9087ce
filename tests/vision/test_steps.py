"""Steps over images: nothing twice, nothing lost, whatever happens in between."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from prime_sql import vision
from prime_sql.vision import load_images
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.pictures import PictureError
from prime_sql.vision.steps import CHUNK
from tests.examples import examples
from tests.vision.models import MeanColour, colour_of, embed_mean
from tests.vision.samples import write_numbered

ROOT = Path(__file__).parent.parent.parent
COUNT = 1500  # images of the larger data set: two chunks and a part of one
FEW, SMALL = 20, 8  # images of the smaller one, and its chunk


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of many images."""
    folder = tmp_path_factory.mktemp("many")
    write_numbered(folder / "pictures", COUNT)
    load_images(folder / "pictures", folder / "many.duckdb")
    return folder / "many.duckdb"


@pytest.fixture(scope="module")
def loaded_few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    write_numbered(folder / "pictures", FEW)
    load_images(folder / "pictures", folder / "few.duckdb")
    return folder / "few.duckdb"


@pytest.fixture
def few(loaded_few: Path, tmp_path: Path) -> Path:
    """A database of a few images, in a folder of its own."""
    return Path(shutil.copy(loaded_few, tmp_path / "few.duckdb"))


def query(path: Any, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path) as con:
        return con.sql(sql).fetchall()


def embeddings(path: Path, model: str = "mean colour", table: str = "embeddings") -> dict[str, Any]:
    rows = query(path, f"select image_id, embedding from {table} where model = '{model}'")
    assert len(dict(rows)) == len(rows), "an image twice"
    return dict(rows)


def expected(*numbers: int) -> dict[str, Any]:
    return {f"{number:05}.png": colour_of(number) for number in numbers}


def problems(path: Path) -> dict[str, str]:
    rows = query(path, "select image_id, reason from image_problems where step = 'embed'")
    assert len(dict(rows)) == len(rows)
    return dict(rows)


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
    load_images(folder, db, replace=True)
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
    """A first try that failed, or results that were deleted, are no results."""
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


# Models that fail ---------------------------------------------------------------------------------


class Failing(MeanColour):
    """Raises at an image, counted from 1."""

    def __init__(self, at: int, error: BaseException | None = None) -> None:
        super().__init__()
        self.at, self.error = at, error or ValueError("no idea\nwhat this is")

    def run(self, batch: Any) -> pa.Array:
        if self.seen + len(batch) >= self.at:
            raise self.error
        return super().run(batch)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ValueError("odd\nwhat"), ps.PrimeSqlError, "^mean colour failed .*ValueError: odd$"),
        (RuntimeError(""), ps.PrimeSqlError, "^mean colour failed on an image: RuntimeError: "),
        (ps.InputError("scores are infinite"), ps.InputError, "^scores are infinite$"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (SystemExit(3), SystemExit, "3"),
        (
            MemoryError("std::bad_alloc"),
            ps.PrimeSqlError,
            "^the device has too little memory for a single image; use --device cpu, or a smaller",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_a_model_that_fails(
    error: BaseException, raised: type[BaseException], message: str | None, few: Path
) -> None:
    with pytest.raises(raised, match=message):
        embed_mean(few, Failing(at=2 * SMALL + 1, error=error), chunk=SMALL, batch_size=2)
    assert embeddings(few) == expected(*range(2 * SMALL))
    done = embed_mean(few, MeanColour(), chunk=SMALL)
    assert (done.images, done.problems) == (FEW - 2 * SMALL, 0)
    assert embeddings(few) == expected(*range(FEW))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda r: r[1:], "mean_colour gave 3 results for 4 images"),
        (lambda r: pa.concat_arrays([r, r]), "mean_colour gave 8 results for 4 images"),
        (lambda r: r.flatten(), "mean_colour gave 12 results for 4 images"),
        (lambda r: pa.array(["a"] * len(r)), "failed on an image: ArrowTypeError: "),
        (lambda r: None, "failed on an image: TypeError"),
    ],
)
def test_a_model_that_gives_something_else(result: Any, message: str, few: Path) -> None:
    class Wrong(MeanColour):
        def run(self, batch: Any) -> Any:
            return result(super().run(batch))

    with pytest.raises(ps.PrimeSqlError, match=message) as caught:
        embed_mean(few, Wrong(), batch_size=4)
    assert "\n" not in str(caught.value)
    assert embeddings(few) == {}


def out_of_memory(kind: str) -> Exception:
    if kind == "cuda":
        torch = pytest.importorskip("torch")
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if kind == "cpu":
        return RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: can't allocate memory: "
            "you tried to allocate 40 bytes. Error code 12 (Cannot allocate memory)"
        )
    if kind == "onnxruntime":
        # As onnxruntime's own: an Exception, but no RuntimeError.
        return type("RuntimeException", (Exception,), {})(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested "
            "buffer of size 1073741824"
        )
    return MemoryError("Unable to allocate 4. GiB for an array")


@pytest.mark.parametrize("kind", ["cuda", "cpu", "onnxruntime", "numpy"])
def test_out_of_memory(kind: str, few: Path) -> None:
    class Large(MeanColour):
        refused = 0

        def run(self, batch: Any) -> pa.Array:
            if len(batch) > 3:
                self.refused += 1
                raise out_of_memory(kind)
            return super().run(batch)

    model = Large()
    function = ImageFunction.over(model, "mean_colour", batch_size=16)
    embed_mean(few, model, chunk=18, function=function)
    assert embeddings(few) == expected(*range(FEW))
    assert function.batch_size == 2
    assert model.refused == 3  # at 16, 8 and 4, and never again
    assert set(model.batches) == {2}


def test_out_of_memory_at_one_image(few: Path) -> None:
    class TooLarge(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            self.batches.append(len(batch))
            raise out_of_memory("cpu")

    model = TooLarge()
    with pytest.raises(ps.PrimeSqlError, match="too little memory for a single image") as caught:
        embed_mean(few, model, batch_size=8)
    assert model.batches == [8, 4, 2, 1]
    assert "alloc_cpu" in str(caught.value.__cause__)


# One call -----------------------------------------------------------------------------------------


def numbers(
    work: Any = None, run: Any = None, **options: Any
) -> tuple[ImageFunction, list[list[int]]]:
    """A function from '7' to 7, and the batches that it ran."""
    batches: list[list[int]] = []

    def default_work(uri: str) -> int:
        if not uri.lstrip("-").isdecimal():
            raise PictureError(f"{uri} is no number")
        return int(uri)

    def default_run(batch: list[int]) -> pa.Array:
        batches.append(batch)
        return pa.array(batch, pa.int64())

    function = ImageFunction(
        "number", pa.int64(), work or default_work, run or default_run, **options
    )
    return function, batches


def call(function: ImageFunction, uris: list[str | None]) -> list[int | None]:
    found: list[int | None] = function(pa.chunked_array([pa.array(uris, pa.string())])).to_pylist()
    return found


@examples(60)
@given(
    calls=st.lists(
        st.lists(st.one_of(st.none(), st.sampled_from("x12345"), st.integers(0, 99).map(str)),
                 max_size=12), min_size=1, max_size=4),
    batch_size=st.integers(1, 7),
    threads=st.integers(1, 3),
    fits=st.integers(1, 7),
    follows=st.booleans(),
)  # fmt: skip
def test_any_call(
    calls: list[list[str | None]], batch_size: int, threads: int, fits: int, follows: bool
) -> None:
    """One result for each URI, in order, whatever the batches are and what is read ahead."""

    def run(batch: list[int]) -> pa.Array:
        if len(batch) > fits:
            raise MemoryError
        return pa.array(batch, pa.int64())

    function, _ = numbers(run=run, batch_size=batch_size, threads=threads)
    try:
        for uris, after in zip(calls, [*calls[1:], []], strict=True):
            if follows:
                function.follow([uri for uri in after if uri is not None])
            expected_ = [None if uri in (None, "x") else int(uri) for uri in uris]
            assert call(function, uris) == expected_
            assert function.problems == ({"x": "x is no number"} if "x" in uris else {})
            function.problems.clear()
    finally:
        function.close()


def test_order_is_kept_when_threads_overtake() -> None:
    pauses = random.Random(1)

    def work(uri: str) -> int:
        time.sleep(pauses.random() / 200)
        return int(uri)

    function, batches = numbers(work, batch_size=7, threads=8)
    assert call(function, [str(i) for i in range(200)]) == list(range(200))
    assert [len(batch) for batch in batches] == [7] * 28 + [4]


def test_duplicates_and_nulls() -> None:
    function, batches = numbers(batch_size=3)
    assert call(function, ["1", None, "1", "no", "2", "no", None]) == [
        1, None, 1, None, 2, None, None,
    ]  # fmt: skip
    assert batches == [[1, 1, 2]]
    assert function.problems == {"no": "no is no number"}
    assert call(function, []) == call(function, [None])[1:] == []


def test_how_much_is_in_memory() -> None:
    """A slow model does not let decoded pictures pile up, also over the end of a call."""
    lock, waiting, most = threading.Lock(), 0, 0

    def work(uri: str) -> int:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        return int(uri)

    def run(batch: list[int]) -> pa.Array:
        nonlocal waiting
        time.sleep(0.002)
        with lock:
            waiting -= len(batch)
        return pa.array(batch, pa.int64())

    function, _ = numbers(work, run, batch_size=4, threads=3, beside=True)
    for first in range(0, 400, 100):
        function.follow([str(i) for i in range(first + 100, first + 200)])
        call(function, [str(i) for i in range(first, first + 100)])
    # What is in the batch under way is no longer in the window.
    assert most <= function._window() + function.batch_size == 2 * 4 + 3 + 4


def test_threads_go_on_while_a_chunk_is_written() -> None:
    done: Counter[str] = Counter()
    work = lambda uri: done.update([uri]) or int(uri)  # noqa: E731
    function, _ = numbers(work, batch_size=4, threads=2, beside=True)
    function.follow([str(i) for i in range(8, 16)])
    call(function, [str(i) for i in range(8)])
    function._pool.submit(lambda: None).result()  # after what was asked for before
    assert sum(done.values()) > 8
    call(function, [str(i) for i in range(8, 16)])
    assert done == Counter(str(i) for i in range(16))


def test_the_next_chunk_is_read_ahead(few: Path) -> None:
    model, ahead = MeanColour(), []
    function = ImageFunction.over(model, "mean_colour", batch_size=2, threads=2, beside=True)

    def on_sql(statement: Any) -> None:
        if statement.sql == "commit" and model.seen:
            ahead.append(len(function._ahead))

    embed_mean(few, model, function=function, chunk=SMALL, on_sql=on_sql)
    assert ahead == [5, 4, 0]  # a window less the last one of the call, or what there is


def test_on_a_cpu_threads_and_model_take_turns() -> None:
    lock, under_way, beside = threading.Lock(), [0], []

    def work(uri: str) -> int:
        with lock:
            under_way[0] += 1
        time.sleep(0.002)
        with lock:
            under_way[0] -= 1
        return int(uri)

    def run(batch: list[int]) -> pa.Array:
        beside.append(under_way[0])
        return pa.array(batch, pa.int64())

    function, _ = numbers(work, run, batch_size=4, threads=3, beside=False)
    uris = [str(i) for i in range(50)]
    function.follow(uris)
    assert call(function, uris) == list(range(50))
    assert beside == [0] * 13


def test_two_threads_call_at_once() -> None:
    """One after the other: few models can do two things at a time."""
    running = threading.Lock()

    def run(batch: list[int]) -> pa.Array:
        assert running.acquire(blocking=False)
        time.sleep(0.0005)
        running.release()
        return pa.array(batch, pa.int64())

    function, _ = numbers(run=run, batch_size=5, threads=2)
    found: dict[int, Any] = {}

    def ask(start: int) -> None:
        found[start] = [call(function, [str(start + i) for i in range(40)]) for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {s: [list(range(s, s + 40))] * 10 for s in range(0, 400, 100)}


def test_after_a_failure_the_function_is_as_good_as_new() -> None:
    function, _ = numbers(batch_size=2)
    run, function._run = function._run, lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        call(function, ["1", "2", "3"])
    assert isinstance(function.failure, ZeroDivisionError)
    function._run = run
    assert call(function, ["4", "5", "6"]) == [4, 5, 6]
    assert function.failure is None


# Killed -------------------------------------------------------------------------------------------

# Forks one process for each moment, after the imports, and lets it kill itself there.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from prime_sql.vision import load_images
from tests.vision.models import MeanColour, embed_mean

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Mortal(MeanColour):
    left = -1
    def run(self, batch):
        if 0 <= self.left <= self.seen + len(batch):
            die()
        return super().run(batch)

def go(path, moment, chunk):
    kind, _, number = moment.partition(":")
    number = int(number)
    model, statements = Mortal(), 0

    def on_sql(statement):
        nonlocal statements
        statements += 1
        path.with_suffix(".seen").write_text(str(model.seen))
        if statements == number:
            die()

    def on_images(progress):
        if progress.done >= number:
            die()

    if kind == "load":
        load_images(path.parent / "pictures", path, on_images=on_images)
    elif kind == "image":
        model.left = number
        embed_mean(path, model, chunk=chunk)
    else:
        embed_mean(path, model, chunk=chunk, on_sql=on_sql)

chunk = int(sys.argv[1])
for path, moment in zip(sys.argv[2::2], sys.argv[3::2]):
    child = os.fork()
    if not child:
        try:
            go(Path(path), moment, chunk)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    print(-os.waitstatus_to_exitcode(status))
"""


def kill(chunk: int, moments: dict[Path, str]) -> list[bool]:
    """Run the step on each database until its moment; return whether it was killed there."""
    arguments = [str(part) for pair in moments.items() for part in pair]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(chunk), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(line) == signal.SIGKILL for line in done.stdout.splitlines()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_in_the_model(many: Path, tmp_path: Path) -> None:
    moments = [1, CHUNK + 33, 2 * CHUNK, 2 * CHUNK + 1]
    paths = {Path(shutil.copy(many, tmp_path / f"{n}.duckdb")): f"image:{n}" for n in moments}
    assert kill(CHUNK, paths) == [True] * len(moments)
    for path, moment in zip(paths, moments, strict=True):
        # All chunks before the one that was under way, as a whole.
        committed = (moment - 1) // CHUNK * CHUNK
        assert embeddings(path) == expected(*range(committed))
        model = MeanColour()
        assert embed_mean(path, model).images == model.seen == COUNT - committed
        assert embeddings(path) == expected(*range(COUNT))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_a_statement(loaded_few: Path, tmp_path: Path) -> None:
    statements: list[Any] = []
    whole = Path(shutil.copy(loaded_few, tmp_path / "whole.duckdb"))
    embed_mean(whole, MeanColour(), chunk=SMALL, on_sql=statements.append)
    commits = [n for n, s in enumerate(statements, 1) if s.sql == "commit"]
    first, second, last = commits[-3:]
    moments = [commits[0], commits[1], first - 1, first, second - 4, second - 1, second, last + 1]
    paths = {
        Path(shutil.copy(loaded_few, tmp_path / f"{n}.duckdb")): f"statement:{n}" for n in moments
    }
    assert kill(SMALL, paths) == [True] * len(moments)
    for path, moment in zip(paths, moments, strict=True):
        committed = min(FEW, SMALL * sum(commit <= moment for commit in commits[-3:]))
        found = embeddings(path) if moment > commits[1] else {}
        assert found == expected(*range(committed)), moment
        seen = int(path.with_suffix(".seen").read_text())
        assert seen - committed <= SMALL
        assert embed_mean(path, MeanColour()).images == FEW - committed
        assert embeddings(path) == expected(*range(FEW))
        assert problems(path) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_loading(many: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").symlink_to(many.parent / "pictures")
    moments = [500, CHUNK + 100, COUNT]
    paths = {tmp_path / f"{n}.duckdb": f"load:{n}" for n in moments}
    assert kill(CHUNK, paths) == [True] * len(moments)
    facts = "select image_id, width, height, sha256 from images order by image_id"
    for path in paths:
        committed = query(path, "select count(*) from images")[0][0]
        assert committed % CHUNK == 0 or committed == COUNT
        moment = int(path.stem)
        assert 0 <= moment - committed <= CHUNK
        assert load_images(tmp_path / "pictures", path).images == COUNT - committed
        assert query(path, facts) == query(many, facts)
        assert not list(tmp_path.glob(".*partial*"))


# The command --------------------------------------------------------------------------------------

FUNCTION = """
import os, signal, time
seen, at, how = 0, int(os.environ["AT"]), int(os.environ["HOW"])

def name(pictures):
    global seen
    before, seen = seen, seen + len(pictures)
    if before < at <= seen:
        os.kill(os.getpid(), how)
    if seen >= at:
        time.sleep(0.02 * len(pictures))  # time to notice
    return [("odd" if p.getpixel((0, 0))[0] % 2 else "even", 0.75) for p in pictures]
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_predict_killed_interrupted_completed(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    path = Path(shutil.copy(many, tmp_path / "predict.duckdb"))
    (tmp_path / "parity.py").write_text(FUNCTION)

    def command(how: int, at: int) -> subprocess.CompletedProcess[str]:
        arguments = ["predict", "--db", str(path), "--model", "parity:name"]
        return subprocess.run(
            [sys.executable, "-m", "prime_sql", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOW": str(how), "AT": str(at)},
            capture_output=True,
            text=True,
        )

    def count() -> int:
        counts = query(path, "select count(*), count(distinct image_id) from predictions")
        assert counts[0][0] == counts[0][1]
        return int(counts[0][0])

    done = command(signal.SIGKILL, 600)
    assert (done.returncode, count()) == (-signal.SIGKILL, CHUNK)
    done = command(signal.SIGINT, 600)
    assert done.returncode == 130, done.stderr
    assert done.stderr == (
        "Interrupted; what is done is kept; the same command goes on from there.\n"
    )
    assert count() == 2 * CHUNK
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AT", str(COUNT + 1))
    monkeypatch.setenv("HOW", "0")
    assert vision.predict(path, "parity:name").images == COUNT - 2 * CHUNK
    assert count() == COUNT
    wrong = (
        "select * from predictions where prediction is distinct from case "
        "when cast(left(image_id, 5) as int) % 256 % 2 = 1 then 'odd' else 'even' end "
        "or confidence <> 0.75 or model <> 'parity:name'"
    )
    assert query(path, wrong) == []


def test_an_interrupted_session_ends_what_runs(many: Path, tmp_path: Path) -> None:
    """Python must not end, or the connection be used, while a function still runs elsewhere."""
    path = Path(shutil.copy(many, tmp_path / "interrupted.duckdb"))
    running = threading.Event()

    class Slow(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            if self.seen > CHUNK and not running.is_set():
                running.set()
                os.kill(os.getpid(), signal.SIGINT)
            if running.is_set():
                time.sleep(0.5)  # a batch: a busy machine takes its time to hear the signal
            return super().run(batch)

    model = Slow()
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        embed_mean(path, model)
    seen = model.seen
    assert seen < 2 * CHUNK  # it did not finish its chunk, either
    time.sleep(1)
    assert model.seen == seen
    assert embeddings(path) == expected(*range(CHUNK))
