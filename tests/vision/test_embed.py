"""Embeddings: what is written, and what is refused."""

from __future__ import annotations

import importlib
import math
import shutil

import numpy as np
import pytest

from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError, PrimeSqlError
from tests.vision.tagged import dump, long, rows, tags, vectors


def test_embeddings_are_those_of_open_clip_at_length_one(embedded, open_clip_alone):
    found = vectors(embedded)
    assert len(found) == 30
    for image_id, vector in found.items():
        assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)
        expected = open_clip_alone[0](embedded.parent / "photos" / image_id)
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    # And they tell the pictures apart.
    every = np.stack(list(found.values()))
    assert np.triu(every @ every.T, 1).max() < 0.9999
    types = dict(
        rows(
            embedded,
            "select column_name, data_type from duckdb_columns() where table_name = 'embeddings'",
        )
    )
    assert types == {"image_id": "VARCHAR", "model": "VARCHAR", "embedding": "FLOAT[16]"}


def test_embedding_again_does_nothing_and_replacing_does_it_all(own, clip_folder):
    before = vectors(own)
    assert vision.embed(own, clip_folder.as_posix(), batch_size=7).images == 0
    assert (
        vision.embed(
            own, f"local-dir:{clip_folder}", replace=True, batch_size=7, device="cpu"
        ).images
        == 30
    )
    after = vectors(own)
    assert after.keys() == before.keys()
    for image_id, vector in before.items():
        np.testing.assert_allclose(after[image_id], vector, atol=1e-5)


def test_texts_are_embedded_as_by_open_clip(own, clip_folder, open_clip_alone):
    words = ["black cat", "white dog", "Ünïcode ☃", "x " * 200]
    done = vision.embed_texts(own, words, str(clip_folder), template="a photo of {}", device="cpu")
    assert (done.step, done.model, done.table, done.images) == (
        "embed",
        "tiny",
        "text_embeddings",
        4,
    )
    found = vectors(own, "text_embeddings", key="text")
    assert found.keys() == {word.strip() for word in words}
    for word, vector in found.items():
        (expected,) = open_clip_alone[1]([f"a photo of {word}"])
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    # Another prompt is kept beside it, the same is left alone.
    assert vision.embed_texts(own, words[:2], str(clip_folder)).images == 2
    assert vision.embed_texts(own, words, str(clip_folder), template="a photo of {}").images == 0
    assert rows(
        own, "select template, count(*) from text_embeddings group by all order by all"
    ) == [
        ("a photo of {}", 4),
        ("{}", 2),
    ]
    (kind,) = rows(own, "select any_value(typeof(embedding)) from text_embeddings")
    assert kind == ("FLOAT[16]",)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", ""])
def test_a_template_without_a_place_for_the_text(tmp_path, template):
    for step in (vision.embed_texts, vision.tag_clip):
        with pytest.raises(OptionError, match=r"template must hold \{\} once"):
            step(tmp_path / "new.duckdb", ["cat"], "ViT-B-32", "openai", template=template)
    assert not list(tmp_path.iterdir())


def test_a_model_of_other_dimensions_wants_a_table_of_its_own(own, other_clips):
    small = str(other_clips[0])
    before = dump(own)
    complaint = r"embeddings of type FLOAT\[16\]; those of small are FLOAT\[8\].* with "
    with pytest.raises(InputError, match=f"{complaint}--table"):
        vision.embed(own, small)
    with pytest.raises(InputError, match=f"{complaint}--embeddings"):
        vision.tag_clip(own, ["cat", "dog"], small, calibrate="none")
    assert {name: content for name, content in dump(own).items() if name in before} == before
    assert vision.embed(own, small, table="embeddings_small").images == 30
    # Texts of the two likewise; and tags can be made from either.
    vision.embed_texts(own, ["cat"], small)
    assert {len(v) for v in vectors(own, "embeddings_small", "small").values()} == {8}
    done = vision.tag_clip(own, ["cat", "dog"], small, embeddings="embeddings_small", top_k=1)
    assert done.images == 30
    assert len(tags(own, "clip")) == 30


def test_other_weights_of_the_same_name_are_not_mixed_in(own, clip_folder, other_clips):
    other = str(other_clips[1])
    before = vectors(own)
    with pytest.raises(OptionError, match="embeddings holds results of tiny with other settings"):
        vision.embed(own, other)
    np.testing.assert_equal(vectors(own), before)
    assert vision.embed(own, other, name="second").images == 30
    assert vision.embed(own, other, replace=True).images == 30
    np.testing.assert_equal(vectors(own), vectors(own, model="second"))

    vision.embed_texts(own, ["cat", "dog"], str(clip_folder))
    before = vectors(own, "text_embeddings", key="text")
    with pytest.raises(OptionError, match="holds texts embedded by other weights of the name tiny"):
        vision.embed_texts(own, ["cat", "ape"], other, template="a {}")
    np.testing.assert_equal(vectors(own, "text_embeddings", key="text"), before)
    assert vision.embed_texts(own, ["cat", "ape"], other, name="second").images == 2
    assert vision.embed_texts(own, ["cat", "ape"], other, replace=True).images == 2
    assert vectors(own, "text_embeddings", key="text").keys() == {"cat", "ape"}
    # In half precision they are the same weights.
    assert vision.embed_texts(own, ["cat", "fox"], other, precision="bf16").images == 1


def test_numbers_that_are_not_finite_are_not_stored(own, clip_folder, tmp_path):
    shutil.copytree(clip_folder, tmp_path / "broken")
    safetensors = importlib.import_module("safetensors.torch")
    weights = safetensors.load_file(tmp_path / "broken" / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] = math.nan
    safetensors.save_file(weights, tmp_path / "broken" / "open_clip_model.safetensors")
    with pytest.raises(PrimeSqlError, match="broken gives numbers that are not finite"):
        vision.embed(own, str(tmp_path / "broken"))
    assert not vectors(own, model="broken")


def test_embedding_wants_images(db, clip_folder):
    for step in (
        lambda: vision.embed(db, str(clip_folder)),
        lambda: vision.tag_clip(db, ["cat"], str(clip_folder)),
    ):
        with pytest.raises(InputError, match=r"there is no database .*prime-sql images FOLDER"):
            step()
        assert not db.exists()
    vision.tag_table(db, long(image_id=["a"], tag=["cat"]))
    with pytest.raises(InputError, match="the database holds no images; `prime-sql images FOLDER"):
        vision.embed(db, str(clip_folder))
