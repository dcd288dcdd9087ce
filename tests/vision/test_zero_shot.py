"""ZeroShotTagger against its definition, written out in loops over float64."""

import math
import statistics

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prime_sql.engine.errors import OptionError
from prime_sql.vision import zero_shot
from prime_sql.vision.network import TAGS
from prime_sql.vision.zero_shot import FEWEST, ZeroShotTagger
from tests.examples import examples, seed

WORDS = [f"word {i}" for i in range(40)]


def tagger(texts, threshold=None, top_k=None, calibrate="none", words=WORDS):
    texts = np.array(texts, np.float32)
    return ZeroShotTagger(
        words[: len(texts)], texts, threshold=threshold, top_k=top_k, calibrate=calibrate
    )


def arrow(images, dimensions):
    rows = [None if image is None else [float(x) for x in image] for image in images]
    return pa.chunked_array([pa.array(rows, pa.list_(pa.float32(), dimensions))])


def tags(found):
    """Turn what the tagger returns into lists of pairs, and rely on its type."""
    assert found.type == TAGS
    found.validate(full=True)
    return [
        None if row is None else [(pair["tag"], pair["score"]) for pair in row]
        for row in found.to_pylist()
    ]


def apply(made, images, labels, dimensions):
    return tags(made(arrow(images, dimensions), pa.chunked_array([pa.array(labels, pa.string())])))


# The definition -----------------------------------------------------------------------------------


def similarity(image, text):
    return math.fsum(float(a) * float(b) for a, b in zip(image, text, strict=True))


def expected_scores(image, label, texts, known, calibrate):
    """Score each text for one image; `known` holds the embedded images and their labels."""
    scores = []
    for text in texts:
        score = similarity(image, text)
        if calibrate == "none":
            scores.append(score)
            continue
        others = [similarity(other, text) for other, _ in known]
        own = [similarity(other, text) for other, name in known if name == label]
        if calibrate == "class" and label is not None and len(own) >= FEWEST:
            others = own
        deviation = statistics.pstdev(others)
        scores.append((score - statistics.fmean(others)) / deviation if deviation > 1e-6 else 0.0)
    return scores


def expected_tags(scores, threshold, top_k):
    ranked = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    if top_k is not None:
        ranked = ranked[:top_k]
    return [(WORDS[i], scores[i]) for i in ranked if threshold is None or scores[i] >= threshold]


def check(images, labels, texts, threshold, top_k, calibrate):
    """Compare a tagger, fitted on its own images, with the definition."""
    dimensions = len(texts[0])
    made = tagger(texts, threshold, top_k, calibrate)
    known = [(i, n) for i, n in zip(images, labels, strict=True) if i is not None]
    vectors = np.array([i for i, _ in known], np.float32).reshape(-1, dimensions)
    half = len(known) // 2
    names = [n for _, n in known]
    made.fit([(vectors[:half], names[:half]), (vectors[half:], names[half:])])
    found = apply(made, images, labels, dimensions)
    assert len(found) == len(images)
    for image, label, row in zip(images, labels, found, strict=True):
        if image is None:
            assert row is None
            continue
        scores = [
            # Scores are kept in single precision, and ties are ties there.
            float(np.float32(score))
            for score in expected_scores(image, label, texts, known, calibrate)
        ]
        wanted = expected_tags(scores, threshold, top_k)
        assert [name for name, _ in row] == [name for name, _ in wanted]
        assert [score for _, score in row] == pytest.approx(
            [score for _, score in wanted], abs=1e-6
        )


def spread(number, count, dimensions):
    vectors = np.random.default_rng(seed(number)).normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32).tolist()


LIMITS = [(1.0, None), (None, 3), (0.5, 2), (-9.0, 40), (9.0, None)]


@pytest.mark.random
@pytest.mark.parametrize("calibrate", ["none", "all", "class"])
@pytest.mark.parametrize(("threshold", "top_k"), LIMITS)
def test_tags_are_those_of_the_definition(calibrate, threshold, top_k):
    images = spread(1, 60, 8)
    # Two classes of their own mean, one that is too small for it, one image without a label.
    labels = ["cat"] * 25 + ["dog"] * FEWEST + ["ape"] * (FEWEST - 1) + [None] * 16
    check(images, labels, spread(2, 12, 8), threshold, top_k, calibrate)


@pytest.mark.random
@pytest.mark.parametrize("calibrate", ["none", "all", "class"])
def test_images_without_an_embedding_have_no_tags(calibrate):
    images = spread(3, 30, 4)
    for place in (0, 7, 8, 29):
        images[place] = None
    check(images, ["cat"] * 15 + [None] * 15, spread(4, 6, 4), 0.5, None, calibrate)


# Small whole numbers: sums of products are exact, and ties are many.
vectors = st.lists(st.integers(-3, 3), min_size=3, max_size=3)


@examples(150)
@given(
    texts=st.lists(vectors, min_size=1, max_size=8),
    images=st.lists(st.tuples(st.none() | vectors, st.sampled_from([None, "a", "b"])), max_size=40),
    threshold=st.none() | st.integers(-9, 9),
    top_k=st.none() | st.integers(1, 9),
)
def test_any_tags_without_calibration(texts, images, threshold, top_k):
    if threshold is None and top_k is None:
        top_k = 2
    check([i for i, _ in images], [n for _, n in images], texts, threshold, top_k, "none")


@examples(150)
@given(
    texts=st.lists(vectors, min_size=1, max_size=6),
    images=st.lists(
        st.tuples(st.none() | vectors, st.sampled_from([None, "a", "a", "b"])), max_size=40
    ),
    calibrate=st.sampled_from(["all", "class"]),
    top_k=st.none() | st.integers(1, 7),
)
def test_any_scores_with_calibration(texts, images, calibrate, top_k):
    made = tagger(texts, -1e9, None, calibrate)
    known = [(image, name) for image, name in images if image is not None]
    names = [name for _, name in known]
    made.fit([(np.array([i for i, _ in known], np.float32).reshape(-1, 3), names)])
    rows = apply(made, [i for i, _ in images], [n for _, n in images], 3)
    few = tagger(texts, None, top_k or 3, calibrate)
    few.fit([(np.array([i for i, _ in known], np.float32).reshape(-1, 3), names)])
    best = apply(few, [i for i, _ in images], [n for _, n in images], 3)
    for (image, name), row, top in zip(images, rows, best, strict=True):
        if image is None:
            assert (row, top) == (None, None)
            continue
        scores = dict(row)
        wanted = expected_scores(image, name, texts, known, calibrate)
        assert [scores[word] for word in WORDS[: len(texts)]] == pytest.approx(wanted, abs=1e-5)
        # Highest first, ties in the order of the vocabulary; the best are the first of all.
        assert row == sorted(row, key=lambda pair: (-pair[1], WORDS.index(pair[0])))
        assert top == row[: top_k or 3]


# Ties, limits, classes ----------------------------------------------------------------------------


def test_ties_go_to_the_tag_that_stands_first():
    texts = [[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]]
    assert apply(tagger(texts, top_k=2), [[1, 0]], [None], 2) == [[("word 1", 1), ("word 2", 1)]]
    # At the threshold is above it, and both limits hold.
    made = tagger(texts, threshold=1.0, top_k=2)
    assert apply(made, [[1, 0]], [None], 2) == [[("word 1", 1), ("word 2", 1)]]
    assert apply(made, [[0.5, 0.5]], [None], 2) == [[]]


@pytest.mark.random
@pytest.mark.parametrize("calibrate", ["none", "all", "class"])
def test_equal_texts_tie_whatever_the_size_of_the_batch(calibrate):
    """As "Cat" and "cat" do, which a tokenizer takes for one."""
    images = np.array(spread(5, 64, 512), np.float32)
    texts = np.repeat(spread(6, 1, 512), 37, axis=0)
    texts[20:] = spread(7, 1, 512)
    made = tagger(texts, None, 3, calibrate)
    made.fit([(images, ["cat"] * len(images))])
    whole = apply(made, images, ["cat"] * len(images), 512)
    for row in whole:
        assert [name for name, _ in row] in (WORDS[:3], WORDS[20:23])
        assert len({score for _, score in row}) == 1
    for size in (1, 7):
        parts = [images[i : i + size] for i in range(0, len(images), size)]
        found = [apply(made, part, ["cat"] * len(part), 512) for part in parts]
        assert [row for part in found for row in part] == whole


def test_a_class_is_calibrated_by_itself_from_ten_images_on():
    assert FEWEST == 10
    texts = [[1.0, 0.0]]
    for count in (9, 10):
        images = [[4.0 + i % 2, 0] for i in range(count)] + [[float(i), 0] for i in range(30)]
        labels = ["few"] * count + ["many"] * 30
        made = tagger(texts, -99.0, None, "class")
        made.fit([(np.array(images, np.float32), labels)])
        over = images[:count] if count == 10 else images
        first = [x for x, _ in over]
        wanted = (7 - statistics.fmean(first)) / statistics.pstdev(first)
        assert apply(made, [[7, 0]], ["few"], 2) == [[("word 0", pytest.approx(wanted, abs=1e-5))]]


def test_a_label_that_was_not_there_and_none_at_all_are_calibrated_over_all():
    images, labels = spread(8, 40, 4), ["cat"] * 20 + [None] * 20
    texts = spread(9, 5, 4)
    by_class, by_all = tagger(texts, -9.0, None, "class"), tagger(texts, -9.0, None, "all")
    for made in (by_class, by_all):
        made.fit([(np.array(images, np.float32), labels)])
    for label in ("dog", None):
        assert apply(by_class, images[:3], [label] * 3, 4) == apply(
            by_all, images[:3], [label] * 3, 4
        )
    assert apply(by_class, images[:3], ["cat"] * 3, 4) != apply(by_all, images[:3], ["cat"] * 3, 4)


@pytest.mark.parametrize("calibrate", ["all", "class"])
def test_a_tag_that_is_equally_close_to_all_images_stands_at_zero(calibrate):
    # Its similarities differ in their last digits, as those of equal pictures in two batches do.
    rng = np.random.default_rng(10)
    images = [[0.7 + rng.normal() * 1e-7, i % 3] for i in range(30)]
    made = tagger([[1, 0], [0, 1]], -9.0, None, calibrate)
    made.fit([(np.array(images, np.float32), ["cat"] * 30)])
    for row in apply(made, images, ["cat"] * 30, 2):
        assert dict(row)["word 0"] == 0
        assert abs(dict(row)["word 1"]) > 1e-3 or dict(row)["word 1"] == pytest.approx(0, abs=1e-6)
    # And so it is not a tag of any.
    above = tagger([[1, 0], [0, 1]], 0.5, None, calibrate)
    above.fit([(np.array(images, np.float32), ["cat"] * 30)])
    assert {name for row in apply(above, images, ["cat"] * 30, 2) for name, _ in row} == {"word 1"}


def test_without_anything_to_fit_on_scores_are_similarities():
    made = tagger([[1, 0], [0, 1]], 0.5, None, "class")
    made.fit([])
    assert apply(made, [[1, 0.25]], ["cat"], 2) == [[("word 0", 1)]]


# Arrow --------------------------------------------------------------------------------------------


def test_slices_and_chunks_are_the_images_that_they_show():
    images, texts = spread(11, 50, 4), spread(12, 6, 4)
    images[3] = images[20] = images[21] = None
    labels = ["cat" if i % 2 else None for i in range(50)]
    made = tagger(texts, 0.1, None, "class")
    there = [i for i in range(50) if images[i] is not None]
    made.fit([(np.array([images[i] for i in there], np.float32), [labels[i] for i in there])])
    whole = apply(made, images, labels, 4)
    column, names = arrow(images, 4).chunk(0), pa.array(labels, pa.string())
    for start, length in ((0, 50), (2, 20), (20, 2), (21, 29), (49, 1), (10, 0)):
        part = made(
            pa.chunked_array([column.slice(start, length)]),
            pa.chunked_array([names.slice(start, length)]),
        )
        assert tags(part) == whole[start : start + length]
    # Chunks of different lengths, sliced and empty ones among them.
    chunked = made(
        pa.chunked_array([column[:5], column[5:5], column[5:30], column[30:]]),
        pa.chunked_array([names[:17], names[17:]]),
    )
    assert tags(chunked) == whole


def test_no_images():
    made = tagger([[1, 0], [0, 1]], 0.5, None, "class")
    made.fit([(np.zeros((0, 2), np.float32), [])])
    assert apply(made, [], [], 2) == []
    none = pa.chunked_array([], pa.list_(pa.float32(), 2)), pa.chunked_array([], pa.string())
    assert tags(made(*none)) == []
    assert apply(made, [None, None], ["cat", None], 2) == [None, None]


def test_a_large_vocabulary_is_taken_in_slices(monkeypatch):
    images, texts = spread(13, 33, 4), spread(14, 9, 4)
    labels = ["cat"] * 15 + ["dog"] * 18
    results = []
    for cells in (zero_shot.CELLS, 40, 1):
        monkeypatch.setattr(zero_shot, "CELLS", cells)
        made = tagger(texts, 0.3, 4, "class")
        made.fit([(np.array(images, np.float32), labels)])
        results.append(apply(made, images, labels, 4))
    assert results[0] == results[1] == results[2]


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibrate": "classes"}, "calibrate must be one of class, all, none, got 'classes'"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"top_k": -3}, "top_k must be at least 1, got -3"),
        ({"threshold": None}, "give a threshold, top_k or both"),
        ({"threshold": math.nan}, "threshold must be a finite number, got nan"),
        ({"threshold": math.inf}, "threshold must be a finite number, got inf"),
    ],
    ids=str,
)
def test_options_out_of_range(options, message):
    with pytest.raises(OptionError, match=message):
        tagger([[1, 0]], **{"threshold": 1.0, **options})
