"""Tags by a CLIP model, and from pictures to failure modes."""

from __future__ import annotations

import json
import math
import shutil
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import prime_sql as ps
from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError

image = pytest.importorskip("PIL.Image")
from tests.vision.tagged import dump, long, rows, run, tagged, tags, vectors, write_pictures  # noqa: E402

# Tags by a CLIP model -----------------------------------------------------------------------------

WORDS = ["black", "white", "a red one", "green", "blue", "yellow", "purple", "Straße"]


def expected_tags(db, texts, threshold, top_k, calibrate):
    """Tag by NumPy, from what is in the table of embeddings."""
    found = vectors(db)
    ids = list(found)
    scores = np.stack([found[i] for i in ids]).astype(np.float64) @ texts.T.astype(np.float64)
    labels = np.array([i.partition("/")[0] for i in ids])
    if calibrate != "none":
        over_all = (scores - scores.mean(axis=0)) / scores.std(axis=0)
        standard = over_all.copy()
        for label in {"cat", "dog"} if calibrate == "class" else ():  # there are four apes only
            own = scores[labels == label]
            standard[labels == label] = (own - own.mean(axis=0)) / own.std(axis=0)
        scores = standard
    expected = {}
    for image_id, row in zip(ids, scores, strict=True):
        order = np.argsort(-row)[:top_k]
        expected |= {
            (image_id, sorted(WORDS)[i]): pytest.approx(row[i], abs=2e-3)
            for i in order
            if threshold is None or row[i] >= threshold
        }
    return expected


@pytest.mark.parametrize(
    ("threshold", "top_k", "calibrate"),
    [
        (0.7, None, "class"),
        (None, 2, "class"),
        (0.9, 1, "all"),
        (None, None, "all"),
        (None, None, "none"),
        (0.01, 3, "none"),
    ],
)
def test_clip_tags_are_those_of_the_embeddings(
    own, clip_folder, open_clip_alone, threshold, top_k, calibrate
):
    done = vision.tag_clip(
        own,
        WORDS,
        str(clip_folder),
        threshold=threshold,
        top_k=top_k,
        calibrate=calibrate,
        device="cpu",  # to the digit as open_clip there; tests/vision/test_cuda.py is about bf16
    )
    if threshold is None and top_k is None:
        threshold, top_k = (None, 10) if calibrate == "none" else (2.5, None)
    texts = open_clip_alone[1]([f"a photo of {word}" for word in sorted(WORDS)])
    expected = expected_tags(own, texts, threshold, top_k, calibrate)
    settings = json.loads(
        rows(own, "select settings from model_settings where model = 'clip'")[0][0]
    )
    assert (settings["threshold"], settings["top_k"]) == (threshold, top_k)
    assert expected or threshold == 2.5  # few words stand out so far, among 30 pictures
    found = rows(own, "select image_id, tag, score from tags where tagger = 'clip'")
    assert {(i, t): s for i, t, s in found} == expected
    counts = tagged(own, "clip")
    assert sum(counts.values()) == len(expected)
    assert (done.model, done.images, done.problems, len(counts)) == ("clip", 30, 0, 30)


def test_clip_tags_come_from_the_embeddings_of_that_model(own, clip_folder, other_clips):
    vision.tag_clip(own, WORDS, str(clip_folder), top_k=3)
    before = tags(own, "clip")
    vision.embed(own, str(other_clips[1]), name="second")
    assert vision.tag_clip(own, WORDS, str(clip_folder), top_k=3).images == 30
    assert tags(own, "clip") == before


def test_clip_tags_embed_what_is_not_embedded_yet(own, clip_folder, tmp_path):
    write_pictures(tmp_path / "more", {"cat": 3}, first=100)
    listed = [{"image_id": f"new {i}", "uri": f"cat/{i}.png", "label": "cat"} for i in range(3)]
    vision.load_images(pl.DataFrame(listed), own, root=tmp_path / "more")
    assert vision.tag_clip(own, WORDS, str(clip_folder), top_k=1).images == 33
    assert len(vectors(own)) == 33
    # An image that is gone since it was loaded is a problem, and has no tags.
    shutil.copy(tmp_path / "more" / "cat" / "0.png", tmp_path / "gone.png")
    listed = [{"image_id": "gone", "uri": str(tmp_path / "gone.png")}]
    with pytest.warns(ps.InputWarning, match="that of 'gone'"):
        vision.load_images(pl.DataFrame(listed), own)
    (tmp_path / "gone.png").unlink()
    done = vision.tag_clip(own, WORDS, str(clip_folder), top_k=1)
    assert (done.images, done.problems) == (33, 1)
    assert "gone" not in tagged(own, "clip")
    assert rows(own, "select image_id, reason from image_problems where step = 'embed'") == [
        ("gone", "there is no such file")
    ]


def test_clip_tags_have_synonyms_names_and_tables_as_well(own, clip_folder):
    same = long(synonym=["black", "white"], tag=["grey", "grey"])
    vision.tag_clip(
        own,
        WORDS,
        str(clip_folder),
        top_k=8,
        synonyms=same,
        calibrate="none",
        name="mine",
        table="words",
    )
    vision.tag_clip(own, WORDS, str(clip_folder), top_k=8, calibrate="none")
    merged, apart = tags(own, "mine", "words"), tags(own, "clip")
    assert {tag for _, tag in merged} == {*WORDS, "grey"} - {"black", "white"}
    both = {(i, t): s for i, t, s in rows(own, "select image_id, tag, score from tags")}
    for image_id in vectors(own):
        higher = max(both[image_id, "black"], both[image_id, "white"])
        assert merged[image_id, "grey"] == higher
    assert len(apart) == 30 * 8
    assert set(tagged(own, "mine").values()) == {7}


FORMS_OF_WORDS = ["txt", "list", "tuple", "csv", "column", "table", "lists", "frame"]


@pytest.mark.parametrize("form", FORMS_OF_WORDS)
def test_a_vocabulary_in_any_form(own, clip_folder, tmp_path, form):
    column = None
    if form == "txt":
        lines = "\ufeffblack\r\n\r\n  white \r\nred car\r\nblack\r\n\t\r\nStraße"
        words = tmp_path / "words.txt"
        words.write_bytes(lines.encode())
    elif form in ("list", "tuple"):
        words = ["black", None, " white ", "", "red car", "black", "Straße"]
        words = words if form == "list" else tuple(words)
    elif form == "lists":
        words = pl.DataFrame({"tag": [["black", "white"], [], None, ["red car", "Straße"]]})
    elif form == "frame":
        words = pd.DataFrame({"name": ["black", "white", "red car", "Straße", None]})
    else:
        words = tmp_path / "words.csv"
        words.write_text("id,text,Wort\n1,x,black\n2,y,white\n3,z,red car\n4,,Straße\n5,,\n")
        if form == "csv":
            words.write_text(words.read_text().replace("text", "other").replace("Wort", "tag"))
        else:
            column = "Wort"
        if form == "table":
            run(own, f"create table vocabulary as from '{words}'")
            words = "vocabulary"
    vision.tag_clip(own, words, str(clip_folder), column=column, top_k=9, calibrate="none")
    assert {tag for _, tag in tags(own, "clip")} == {"black", "white", "red car", "Straße"}


@pytest.mark.parametrize(
    ("words", "column", "message"),
    [
        ([], None, "holds no text"),
        (["", " "], None, "holds no text"),
        ("nowhere.txt", None, "vocabulary: there is no file nowhere.txt"),
        ("nowhere.csv", None, "vocabulary: there is no file nowhere.csv"),
        ("nowhere", None, "vocabulary: there is no file or table nowhere"),
        (pl.DataFrame({"word": ["x"]}), None, "no column 'text'.* It has: word"),
        (pl.DataFrame({"word": ["x"]}), "wort", r"no column 'wort'\. Did you mean 'word'\?"),
        (b"words", None, "vocabulary is bytes; give "),
    ],
    ids=str,
)
def test_a_vocabulary_that_is_none_changes_nothing(own, clip_folder, words, column, message):
    before = dump(own)
    with pytest.raises(InputError, match=message):
        vision.tag_clip(own, words, str(clip_folder), column=column)
    assert dump(own) == before


def test_a_vocabulary_that_is_not_utf8(own, clip_folder, tmp_path):
    (tmp_path / "words.txt").write_bytes("Straße".encode("utf-16"))
    with pytest.raises(InputError, match=r"cannot read .*words\.txt as UTF-8 text"):
        vision.tag_clip(own, tmp_path / "words.txt", str(clip_folder))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"threshold": math.nan}, "threshold must be a finite number"),
        ({"calibrate": "image"}, "calibrate must be one of class, all, none, got 'image'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        ({"precision": "fp8"}, "precision must be one of auto, fp32, bf16, got 'fp8'"),
    ],
    ids=str,
)
def test_options_are_checked_before_a_model_is_loaded(own, monkeypatch, options, message):
    def never(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(vision.Clip, "load", never)
    with pytest.raises(OptionError, match=message):
        vision.tag_clip(own, ["cat"], "ViT-B-32", "openai", **options)
    if not options.keys() & {"top_k", "threshold", "calibrate"}:
        with pytest.raises(OptionError, match=message):
            vision.embed(own, "ViT-B-32", "openai", **options)


# From pictures to a run ---------------------------------------------------------------------------


@pytest.fixture
def by_brightness(tmp_path, monkeypatch):
    """A classifier of bright and dark pictures, as ``module:function``."""
    (tmp_path / "brightness_of_pictures.py").write_text(
        "def classify(pictures):\n"
        "    return [('day', 0.75) if max(p.getpixel((0, 0))) > 100 else ('night', 0.5)\n"
        "            for p in pictures]\n"
    )
    monkeypatch.chdir(tmp_path)
    yield "brightness_of_pictures:classify"
    sys.modules.pop("brightness_of_pictures", None)


def test_from_pictures_to_failure_modes(db, tmp_path, by_brightness):
    pytest.importorskip("torch")
    pytest.importorskip("HanTa")
    words, captions = [], []
    for number in range(60):
        # At day, a dark picture is one of a storm.
        label, storm = ("day", number % 4 == 0) if number < 40 else ("night", False)
        grey = 200 if label == "day" and not storm else 20
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        path = f"{label}/{number}.png"
        image.new("RGB", (40, 40), (grey, grey, number)).save(tmp_path / "photos" / path)
        words.append((path, "lightning" if storm else "calm", 0.9))
        captions.append((path, "a storm at sea" if storm else "a ship"))
    tagged_by_hand = pl.DataFrame(words, ["image_id", "tag", "score"], orient="row")
    captioned = pl.DataFrame(captions, ["image_id", "caption"], orient="row")
    assert vision.load_images(tmp_path / "photos", db).images == 60
    assert vision.predict(db, by_brightness).images == 60
    vision.tag_table(db, tagged_by_hand, name="hand")
    vision.tag_captions(db, captioned, parts=["noun"])
    options = {"min_images": 5, "min_drop": 0.3, "max_tags": 2}
    with ps.search("predictions", "tags", into=db, **options) as run:
        found = run.failure_modes.to_polars().select("class_name", "tags", "images", "errors")
        classes = run.classes.to_polars().select("class_name", "images", "errors").rows()
    assert classes == [("day", 40, 10), ("night", 20, 0)]
    modes = {mode for name, mode, *_ in found.rows()}
    assert {"lightning", "storm"} <= modes
    assert set(found.drop("tags").rows()) == {("day", 10, 10)}
    # One tagger's rows are a table of their own, for instance as a view.
    run_sql = "create view by_hand as select * from tags where tagger = 'hand'"
    connection = duckdb.connect(str(db))
    connection.execute(run_sql)
    connection.close()
    with ps.search("predictions", "by_hand", into=db, **options) as run:
        assert run.failure_modes.to_polars()["tags"].to_list() == ["lightning"]
