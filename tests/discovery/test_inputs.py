"""What the columns are called, what the class and an error are, and how tags are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import prime_sql as ps
from tests.discovery.hostile import NAMES
from tests.tables import (
    OPTIONS,
    PREDICTIONS,
    TAGS,
    Found,
    Rows,
    column,
    expected,
    found,
    frame,
    search,
    warned,
    with_column,
    write,
)

# Column names -------------------------------------------------------------------------------------

RENAMED = {"image_id": "id", "label": "y", "prediction": "y hat", "tag": "word", "score": "p"}

HOSTILE = {
    "image_id": "it's",
    "label": 'a"b',
    "prediction": "x; drop table tags; --",
    "tag": "{{ tag }}\n{% if %}",
    "score": "\\'🙂",
}

RESERVED = {"image_id": "order", "label": "group", "prediction": "select", "tag": "from"}


@pytest.mark.parametrize(
    ("names", "ending"),
    [(RENAMED, None), (HOSTILE, None)]
    + [(names, ending) for names in (HOSTILE, RESERVED) for ending in ("csv", "jsonl")],
)
def test_columns_under_other_names(
    names: dict[str, str], ending: str | None, tmp_path: Path
) -> None:
    predictions, tags = (
        [{names.get(name, name): value for name, value in row.items()} for row in rows]
        for rows in (PREDICTIONS, TAGS)
    )
    run = search(
        write(predictions, tmp_path / f"p.{ending}") if ending else frame(predictions),
        write(tags, tmp_path / f"t.{ending}") if ending else frame(tags),
        **names,
        min_score=0,
        group_by=(names["label"], "region"),
    )
    assert found(run) == expected(class_of=lambda row: f"{row['label']} | {row['region']}") != {}


def test_mapped_columns_win_over_those_with_the_standard_names() -> None:
    decoy = {name: pl.lit(1) for name in ("image_id", "label", "prediction", "tag", "score")}

    def behind_decoys(rows: Rows) -> pl.DataFrame:
        return frame(rows).rename(RENAMED, strict=False).with_columns(**decoy)

    predictions, tags = behind_decoys(PREDICTIONS), behind_decoys(TAGS)
    assert found(search(predictions, tags, **RENAMED, min_score=0)) == expected()
    # In a condition too: as text, the decoys would all be alike.
    run = search(predictions, tags, **RENAMED, error="label <> prediction")
    assert found(run) == expected()


@pytest.mark.parametrize("error", ["label <> prediction", 'y <> "y hat"', '"Y" <> PREDICTION'])
def test_conditions_know_both_names(error: str) -> None:
    predictions = frame(PREDICTIONS).rename(RENAMED, strict=False)
    names = {"image_id": "id", "label": "y", "prediction": "y hat"}
    tags = frame(TAGS).rename({"image_id": "id"})
    run = search(predictions, tags, **names, error=error, where="id <> 'x' or image_id <> 'x'")
    assert found(run) == expected()
    run = search(predictions, tags, **names, error=error, group_by="y,region")
    assert found(run) == expected(class_of=lambda row: f"{row['label']} | {row['region']}")


def test_label_and_prediction_may_be_swapped() -> None:
    run = search(label="prediction", prediction="label")
    assert found(run) == expected(class_of=lambda row: row["prediction"])


def test_columns_called_like_those_of_the_search() -> None:
    rows = [{**row, "error": row["region"], "class_name": row["split"]} for row in PREDICTIONS]
    wrong = "label <> prediction and error = 'north'"
    run = search(frame(rows), group_by="error,class_name", error=wrong)
    assert found(run) == expected(
        class_of=lambda row: f"{row['region']} | {row['split']}",
        is_error=lambda row: row["label"] != row["prediction"] and row["region"] == "north",
    )


# The class ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("group_by", ["label", "prediction", "region"])
def test_group_by_one_column(group_by: str) -> None:
    assert found(search(group_by=group_by)) == expected(class_of=lambda row: row[group_by])


@pytest.mark.parametrize("group_by", ["split,label", " split , label ", ["split", "label"]])
def test_group_by_several_columns(group_by: Any) -> None:
    run = search(group_by=group_by, min_images=3)
    assert run.options.group_by == ("split", "label")
    assert found(run) == expected(
        class_of=lambda row: f"{row['split']} | {row['label']}", min_images=3
    )


def test_one_image_may_stand_in_several_classes() -> None:
    models = [{**row, "model": model} for model in "ab" for row in PREDICTIONS]
    run = search(frame(models), group_by="model,label")
    assert found(run) == expected(models, class_of=lambda row: f"{row['model']} | {row['label']}")
    assert {name[0] for name, _ in found(run)} == {"a", "b"}


def test_values_with_the_separator_stay_apart() -> None:
    pairs = {"ape": ("x | y", "z"), "bear": ("x", "y | z"), "cat": ("x \\", "\\| y | z")}
    rows = with_column(PREDICTIONS, "a", (pairs[row["label"]][0] for row in PREDICTIONS))
    rows = with_column(rows, "b", (pairs[row["label"]][1] for row in PREDICTIONS))
    run = search(frame(rows), group_by=("a", "b"))
    names = {"ape": r"x \| y | z", "bear": r"x | y \| z", "cat": r"x \\ | \\\| y \| z"}
    assert found(run) == expected(class_of=lambda row: names[row["label"]])


# Hostile values -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:4 tags are alike but for:prime_sql.InputWarning")
@pytest.mark.parametrize("ending", [None, "parquet", "csv", "jsonl"])
def test_hostile_values(ending: str | None, tmp_path: Path) -> None:
    names = [name for name in NAMES if "\x00" not in name] if ending == "csv" else NAMES
    predictions: Rows = []
    tags: Rows = []
    for number in range(8 * len(names)):
        image_id = f"{names[number % len(names)]}{number}"
        label, other = names[number % 4], names[number % 4 + 4]
        # Each image carries six tags in a row, and those with the fourth to sixth are wrong.
        first = number * 7 % len(names)
        carried = [names[(first + step) % len(names)] for step in range(6)]
        wrong = {names[3], names[4], names[5]} <= {*carried} or number % 9 == 0
        prediction = other if wrong else label
        predictions.append(
            {"image_id": image_id, "label": label, "prediction": prediction, "g": names[number % 5]}
        )
        tags.extend({"image_id": image_id, "tag": tag} for tag in carried)
    options: dict[str, Any] = {"max_tags": 3, "min_images": 3, "min_drop": 0.2}
    modes = expected(
        predictions,
        tags,
        class_of=lambda row: f"{escaped(row['g'])} | {escaped(row['label'])}",
        **options,
    )
    assert len({tag for _, mode in modes for tag in mode}) > 5
    run = search(
        write(predictions, tmp_path / f"p.{ending}") if ending else frame(predictions),
        write(tags, tmp_path / f"t.{ending}") if ending else frame(tags),
        group_by="g,label",
        **options,
    )
    assert found(run) == modes
    images = run.failure_mode_images.to_polars()["image_id"]
    assert set(images) <= {*column(predictions, "image_id")}


def escaped(text: str) -> str:
    """A value as it appears in the name of a class of several columns."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


# Warnings -----------------------------------------------------------------------------------------


def untidy(rows: Rows) -> Rows:
    unknown = {"image_id": "nobody", "tag": "snow", "score": 1.0}
    return [*rows, *([unknown] * 3)]


WARNINGS: dict[str, tuple[Callable[[], Rows], str]] = {
    "unknown images": (
        lambda: untidy(TAGS),
        "3 tag rows were left out: their 1 images have no prediction, for example 'nobody'",
    ),
    "images without tags": (
        lambda: [row for row in TAGS if row["image_id"] not in ("img-001", "img-044")],
        "2 of 45 images have no tag; they count for their class only",
    ),
    "duplicates": (
        lambda: [*TAGS, *TAGS[:5], TAGS[0]],
        "6 duplicate (image_id, tag) rows were counted once",
    ),
    "blank and null tags": (
        lambda: [*TAGS, *({**TAGS[0], "tag": tag} for tag in ("", " \t\n ", None))],
        "3 tag rows were left out: their tag is blank",
    ),
    "null image_ids": (
        lambda: [*TAGS, {**TAGS[0], "image_id": None}],
        "1 tag rows were left out: their image_id is null",
    ),
}


@pytest.mark.parametrize("kind", WARNINGS)
def test_odd_tags_are_counted_and_do_not_count(kind: str) -> None:
    rows, message = WARNINGS[kind]
    known = {row["image_id"] for row in PREDICTIONS}
    clean = [row for row in rows() if row["image_id"] in known and (row["tag"] or "").strip()]
    with pytest.warns(ps.InputWarning) as caught:
        run = search(tags=frame(rows()))
    assert warned(caught) == run.warnings == [message]
    shown = [w.filename for w in caught if issubclass(w.category, ps.InputWarning)]
    assert shown == [inspect.getfile(search)]  # at the caller's line, not at ours
    assert found(run) == expected(tags=clean)


def test_all_oddities_at_once() -> None:
    rows = untidy([*TAGS[2:], *TAGS[5:7], {**TAGS[0], "tag": None}, {**TAGS[0], "image_id": None}])
    with pytest.warns(ps.InputWarning) as caught:
        run = search(tags=frame(rows))
    assert warned(caught) == run.warnings
    assert len(run.warnings) == 5
    assert found(run) == expected(tags=TAGS[2:])


# No failure mode ----------------------------------------------------------------------------------


def labelled(label: str, prediction: str) -> pl.DataFrame:
    return frame(PREDICTIONS).with_columns(label=pl.lit(label), prediction=pl.lit(prediction))


NOTES: dict[str, tuple[dict[str, Any], str]] = {
    "no errors": ({"error": "label is null"}, "There are no errors: all 45 predictions are right."),
    "one class": (
        {"predictions": labelled("ape", "ape")},
        "There are no errors: all 45 predictions are right. There is only one class.",
    ),
    "all wrong": (
        {"predictions": labelled("ape", "dog"), "group_by": "region"},
        "All 45 predictions are wrong; check that label and prediction are written alike.",
    ),
    "all wrong by condition": (
        {"error": "true"},
        "All 45 predictions are wrong; check that error is right.",
    ),
    "small classes": (
        {"min_images": 17},
        "No class has 17 images; the largest has 16. Lower min_images.",
    ),
    "no frequent tag": (
        {"min_tag_images": 20},
        "No tag is frequent: none is on 20 images of a class. Lower min_images or min_tag_images.",
    ),
    "no tag": ({"tags": frame(TAGS).head(0)}, "The tags table has no rows."),
    "no strong tag": ({"min_score": 2}, "No tag has a score of 2 or more. Lower min_score."),
    "too few errors": (
        {"error": "image_id = 'img-000'"},
        "No tag has enough errors: at these thresholds a failure mode needs at least 2 "
        "misclassified images. Lower min_images or min_drop.",
    ),
    "no drop": (
        {"min_drop": 0.8},
        "None of 1 counted tag sets has at least 4 images and an accuracy at least 0.8 below its "
        "class with every tag necessary. The largest drop on 4 images or more is 0.476.",
    ),
}


@pytest.mark.filterwarnings("ignore:45 of 45 images have no tag:prime_sql.InputWarning")
@pytest.mark.filterwarnings("ignore:.* have no value in common:prime_sql.InputWarning")
@pytest.mark.parametrize("case", NOTES)
def test_empty_result_says_why(case: str) -> None:
    options, note = NOTES[case]
    run = search(**options)
    none: Found = {}
    assert found(run) == none
    assert run.note is not None
    assert run.note.startswith(note)


def test_note_is_for_empty_results_only() -> None:
    assert search(**OPTIONS).note is None
