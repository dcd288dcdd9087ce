"""Words of two columns or tables that are written otherwise are said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import prime_sql as ps
from tests.refusals import refused
from tests.tables import (
    PREDICTIONS,
    TAGS,
    Rows,
    column,
    expected,
    found,
    frame,
    renumbered,
    search,
    with_column,
    write,
)


def predicted(change: Callable[[str], str]) -> Rows:
    return [{**row, "prediction": change(row["prediction"])} for row in PREDICTIONS]


NEVER = {
    "space": (lambda name: name + " ", "'ape' and the prediction 'ape ' differ only in spaces at"),
    "case of one": (
        lambda name: name.replace("cat", "Cat"),
        "'cat' and the prediction 'Cat' differ only in upper and lower case; all 14 images with",
    ),
    "no width": (
        lambda name: name.replace("cat", "cat\u200b"),
        r"the prediction 'cat\u200b' differ only in characters without width",
    ),
    "another language": (
        {"ape": "Affe", "bear": "Bär", "cat": "Katze"}.__getitem__,
        "have no value in common: 3 labels such as 'ape', 3 predictions such as 'Affe'; every",
    ),
}


@pytest.mark.parametrize("form", ["frame", "csv"])
@pytest.mark.parametrize("kind", NEVER)
def test_labels_that_are_never_predicted(kind: str, form: str, tmp_path: Path) -> None:
    change, piece = NEVER[kind]
    rows = predicted(change)
    source: Any = frame(rows) if form == "frame" else write(rows, tmp_path / "p.csv")
    with refused(tmp_path, ps.InputError, "predictions.label and predictions.prediction", piece):
        search(source)
    # Who says what is wrong is asked to look, and no more.
    error = "substr(label, 1, 1) <> lower(substr(prediction, 1, 1))"
    same = expected(PREDICTIONS) if kind != "another language" else None
    if same is not None:
        assert found(search(source, error=error)) == same
    else:
        with pytest.warns(ps.InputWarning, match="have no value in common"):
            search(source, error="true")


def test_prediction_that_is_written_otherwise_at_times() -> None:
    rows = [
        {**row, "prediction": row["prediction"] + " " * (number % 3 == 0)}
        for number, row in enumerate(PREDICTIONS)
    ]
    with pytest.warns(ps.InputWarning, match="'ape ' differ only in .* 15 rows have such a"):
        run = search(frame(rows))
    assert found(run) == expected(rows)


@pytest.mark.parametrize(("labels", "predictions"), [(1, 3), (3, 1)])
def test_one_class_may_always_be_wrong(labels: int, predictions: int) -> None:
    rows = [
        {**row, "label": f"l{number % labels}", "prediction": f"p{number % predictions}"}
        for number, row in enumerate(PREDICTIONS)
    ]
    with pytest.warns(ps.InputWarning, match="have no value in common"):
        run = search(frame(rows))
    assert run.note is not None
    assert run.note.startswith("All 45 predictions are wrong")


def test_a_model_that_is_always_wrong_is_no_fault_of_the_table() -> None:
    turned = predicted({"ape": "bear", "bear": "cat", "cat": "ape"}.__getitem__)
    rows = [
        {**row, "label": old["prediction"]} for row, old in zip(turned, PREDICTIONS, strict=True)
    ]
    assert (search(frame(rows)).note or "").startswith("All 45 predictions are wrong")


def test_classes_that_are_one() -> None:
    rows = with_column(PREDICTIONS, "region", ("north", "North ") * 22 + ("north",))
    with pytest.warns(ps.InputWarning, match="classes that are alike .* 'North ' and 'north'"):
        search(frame(rows), group_by="region")


NUMBERS = [
    (pl.Int64, pl.Float64, [2**53 + 1, 1], [2.0**53, 1.0], True),
    (pl.UInt64, pl.Float64, [2**60, 1], [2.0, 1.0], True),
    (pl.Int64, pl.Float64, [3, 1], [2.0, 1.0], False),
    (pl.Float32, pl.Float64, [0.1, 1], [0.1, 1.0], True),
    (pl.Float32, pl.Float64, [2.0, 1], [3.0, 1.0], False),
    (pl.Float32, pl.Int64, [2.0, 1], [2**30, 1], True),
    (pl.Int8, pl.Int64, [2, 1], [2**60, 1], False),
]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("case", range(len(NUMBERS)))
def test_numbers_that_would_be_rounded(case: int, turned: bool, tmp_path: Path) -> None:
    one, other, labels, predictions, wrong = NUMBERS[case]
    columns = [pl.Series(labels).cast(one), pl.Series(predictions).cast(other)]
    if turned:
        columns.reverse()
    table = pl.DataFrame({"image_id": [1, 2], "label": columns[0], "prediction": columns[1]})
    tags = pl.DataFrame({"image_id": [1, 2], "tag": ["a", "a"]})
    if wrong:
        with refused(tmp_path, ps.InputError, "one of them would be rounded: give both columns"):
            search(table, tags)
    else:
        errors = int(labels[0] != predictions[0])
        classes = search(table, tags, min_images=1).sql("select sum(errors) as n from classes")
        assert int(classes.to_polars()["n"][0]) == errors


# Tags ---------------------------------------------------------------------------------------------


def test_tags_that_are_one(tmp_path: Path) -> None:
    spelt = ("snow", "Snow", "snow ", "s\u200bnow", "SNOW")
    count = iter(range(len(TAGS)))
    tags = [
        {**row, "tag": spelt[next(count) % 5] if row["tag"] == "snow" else row["tag"]}
        for row in TAGS
    ]
    with pytest.warns(ps.InputWarning, match="5 tags are alike .* or add --normalise-tags"):
        run = search(tags=frame(tags))
    assert ("bear", ("snow",)) not in found(run)
    for source in (frame(tags), write(tags, tmp_path / "t.csv")):
        run = search(tags=source, normalise_tags=True)
        assert found(run) == expected()
        assert run.options.normalise_tags


def test_tags_of_two_unicode_forms() -> None:
    count = iter(range(len(TAGS)))
    spelt = ("né", "ne\u0301")
    tags = [
        {**row, "tag": spelt[next(count) % 2] if row["tag"] == "snow" else row["tag"]}
        for row in TAGS
    ]
    with pytest.warns(ps.InputWarning, match=r"2 tags are alike .*Unicode form"):
        search(tags=frame(tags))
    assert ("bear", ("né",)) in found(search(tags=frame(tags), normalise_tags=True))


JOINED = {";": ";".join, "|": "|".join, ",": str, ", ": ", ".join}


@pytest.mark.parametrize("mark", JOINED)
def test_tags_that_are_several(mark: str, tmp_path: Path) -> None:
    lists: dict[str, list[str]] = {}
    for row in TAGS:
        lists.setdefault(row["image_id"], []).append(row["tag"])
    tags = [{"image_id": i, "tag": JOINED[mark](names)} for i, names in lists.items()]
    path = write(tags, tmp_path / "t.csv")
    with pytest.warns(ps.InputWarning, match=r'many tags look like .* add --split-tags ".?"'):
        search(tags=path)
    assert found(search(tags=path, split_tags=mark)) == expected()


def test_an_append_reads_tags_as_its_run_did(tmp_path: Path) -> None:
    tags = [{**row, "tag": f"{row['tag'].upper()};Z {row['tag']}"} for row in TAGS]
    options: dict[str, Any] = {"split_tags": ";", "normalise_tags": True}
    ids = {row["image_id"] for row in PREDICTIONS[:30]}
    parts = [
        ([r for r in PREDICTIONS if (r["image_id"] in ids) == now],
         [r for r in tags if (r["image_id"] in ids) == now])
        for now in (True, False)
    ]  # fmt: skip
    database = tmp_path / "runs.duckdb"
    for number, (predictions, part) in enumerate(parts):
        run = search(frame(predictions), frame(part), into=database, append=number == 1, **options)
    plain = [row for old in TAGS for row in (old, {**old, "tag": f"z {old['tag']}"})]
    assert found(run) == expected(tags=plain)


# Ids ----------------------------------------------------------------------------------------------

WAYS: dict[str, tuple[Callable[[int], str], Callable[[int], str], str]] = {
    "zeros": ("{:03}".format, str, "leading zeros or decimals"),
    "decimals": (str, "{}.0".format, "leading zeros or decimals"),
    "folders": ("val/{}.jpg".format, "{}.jpg".format, "folders"),
    "endings": ("{:03}.jpg".format, "{:03}".format, "endings of file names"),
    "case": ("IMG{}".format, "img{}".format, "upper and lower case"),
    "spaces": ("i{}".format, "i{} ".format, "spaces at their ends"),
    "forms": ("é{}".format, "e\u0301{}".format, "Unicode form (NFC and NFD)"),
}


@pytest.mark.parametrize("kind", WAYS)
def test_ids_that_would_meet(kind: str, tmp_path: Path) -> None:
    here, there, difference = WAYS[kind]
    predictions, tags = renumbered(PREDICTIONS, here), renumbered(TAGS, there)
    shared = {*column(predictions, "image_id")} & {*column(tags, "image_id")}
    with refused(
        tmp_path, ps.InputError,
        f"{45 - len(shared)} of 45 images have no tags" if shared else "no image_id in common",
        f"differ only in {difference}",
    ):  # fmt: skip
        search(frame(predictions), frame(tags))
    # Where a part of the images is meant, it is only said.
    few = {row["image_id"] for row in predictions[:10]}
    mixed = [
        {**row, "image_id": there(number) if row["image_id"] in few else here(number)}
        for row in renumbered(TAGS, here)
        for number in [int(row["image_id"].translate(str.maketrans("", "", "éimgIMGval/.jp")) or 0)]
    ]
    with pytest.warns(ps.InputWarning) as caught:
        search(frame(predictions), frame(mixed))
    assert any(f"differ only in {difference}; write" in str(each.message) for each in caught)


def test_ids_that_only_look_alike() -> None:
    predictions = with_column(PREDICTIONS, "image_id", (f"val/{n}.jpg" for n in range(45)))
    tags = [
        {"image_id": f"{folder}/{n}.jpg", "tag": "snow"}
        for folder, numbers in (("train", range(45)), ("val", range(10)))
        for n in numbers
    ]
    with pytest.warns(ps.InputWarning) as caught:
        search(frame(predictions), frame(tags))
    assert not any("differ only" in str(each.message) for each in caught)
