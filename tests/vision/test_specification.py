"""A model by what it is loaded from: checked before it is loaded, the same wherever it is."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from prime_sql import vision
from prime_sql.engine.errors import InstallError, OptionError
from prime_sql.vision import spark, specify
from prime_sql.vision import spark_functions as on_spark
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.specification import in_this_process
from tests.vision.models import MeanColour, colour_of
from tests.vision.samples import write_numbered

WORDS = ["red", "green", "blue", "a lake"]


@pytest.mark.parametrize(
    ("step", "model", "options", "said"),
    [
        ("embedd", "ViT-B-32", {}, "step must be one of embed, tag, predict, got 'embedd'"),
        ("embed", "x", {"pretraind": "y"}, "no option 'pretraind'. Did you mean 'pretrained'"),
        ("predict", "x", {"vocabulary": ["a"]}, "predict has no option 'vocabulary'"),
        ("predict", "x", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ("predict", "x", {"threads": -1}, "threads must be at least 1, got -1"),
        ("tag", "ViT-B-32", {}, "needs a vocabulary, a list of tags; .* are ram and ram"),
        ("tag", "x", {"vocabulary": ["a"], "template": "a photo"}, "template must hold {} once"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_loaded(
    step: str, model: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        specify(step, model, **options)


def test_a_specification_travels_and_is_equal_where_it_arrives() -> None:
    made = specify("predict", "x", checkpoint=Path("w.pt"), mean=[0.5, 0.5, 0.5], name=None)
    there = pickle.loads(pickle.dumps(made))
    assert there == made
    assert hash(there) == hash(made)
    assert made == specify("predict", "x", mean=(0.5, 0.5, 0.5), checkpoint="w.pt")
    assert made != specify("predict", "x", checkpoint="w.pt")


def test_a_process_loads_a_model_once(clip_folder: Path) -> None:
    one = in_this_process(specify("embed", str(clip_folder), batch_size=3))
    assert in_this_process(specify("embed", str(clip_folder), batch_size=3)) is one
    assert one.batch_size == 3
    assert in_this_process(specify("embed", str(clip_folder), batch_size=4)) is not one


def test_settings_say_what_results_depend_on(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    file.write_bytes(b"one")

    def settings(**options: Any) -> str:
        return specify("predict", "x", checkpoint=file, **options).settings()

    before = settings()
    assert settings(batch_size=3, threads=2, device="cpu", name="y") == before
    assert settings(image_size=96) != before
    file.write_bytes(b"two")
    assert settings() != before


def test_bytes_give_what_a_file_gives(tmp_path: Path) -> None:
    paths = write_numbered(tmp_path, 3)
    function = ImageFunction.over(MeanColour(), "mean_colour")
    content: list[bytes | None] = [path.read_bytes() for path in paths]
    found = function(pa.chunked_array([pa.array([*content, None, b"", b"?"], pa.binary())]))
    assert found.to_pylist() == [list(colour_of(n)) for n in range(3)] + [None] * 3
    assert function.problems == {
        b"": "the file is empty",
        b"?": "not an image of a known format",
    }


def test_duckdb_takes_a_specification(clip_folder: Path, tmp_path: Path) -> None:
    """Tags of single images are those of the step without calibration."""
    write_numbered(tmp_path / "pictures", 6)
    vision.load_images(tmp_path / "pictures", tmp_path / "a.duckdb")
    folder = str(clip_folder)
    vision.tag_clip(tmp_path / "a.duckdb", WORDS, folder, top_k=2, calibrate="none")
    with duckdb.connect(tmp_path / "a.duckdb") as con:
        tagger = specify("tag", folder, vocabulary=sorted(WORDS), top_k=2, batch_size=4)
        function = vision.register(con, tagger, "tags_of")
        assert function.batch_size == 4
        tags = "select image_id, unnest(tags_of(uri), recursive := true) from images order by 1, 2"
        wanted = "select image_id, tag, score from tags order by 1, 2"
        found = con.sql(tags).fetchall()
        assert len(found) == 12
        for one, other in zip(found, con.sql(wanted).fetchall(), strict=True):
            assert one[:2] == other[:2]
            assert one[2] == pytest.approx(other[2], abs=1e-5)


def test_without_spark_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(InstallError, match=r"pip install 'prime-sql\[spark,vision\]'"):
        on_spark.udf(specify("embed", "ViT-B-32"))


@pytest.mark.parametrize("option", ["prune", "prune_all", "dry_run"])
def test_spark_says_why_it_drops_no_images(option: str) -> None:
    steps: list[Any] = [spark.embed, spark.predict, spark.tag_ram]
    calls = [lambda step=step: step(None, "x", **{option: True}) for step in steps]
    calls.append(lambda: spark.tag_clip(None, ["a"], "x", **{option: True}))
    for call in calls:
        with pytest.raises(OptionError, match=f"^{option} is for images in DuckDB. In Spark the"):
            call()
