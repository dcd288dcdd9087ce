"""The types of a text file's columns: from all values, and from what a condition asks."""

from __future__ import annotations

from pathlib import Path

import pytest

import prime_sql as ps
from tests.engine.forms import relabelled
from tests.refusals import refused
from tests.tables import PREDICTIONS, TAGS, expected, found, search, with_column, write


def test_scores_that_have_decimals_late(tmp_path: Path) -> None:
    # Behind more rows than an engine looks at to guess.
    first = [{"image_id": "img-000", "tag": f"t{number}", "score": 1} for number in range(21_000)]
    tags = [*first, *({**row, "score": 0.6} for row in TAGS)]
    path = write(tags, tmp_path / "t.csv")
    assert found(search(tags=path, min_score=0.6)) == expected()
    with pytest.warns(ps.InputWarning, match="44 of 45 images have no tag"):
        run = search(tags=path, min_score=0.7)
    assert found(run) == {}


@pytest.mark.parametrize("odd", ["n/a", "0,6", "nan", "high"])
def test_scores_that_are_no_numbers(odd: str, tmp_path: Path) -> None:
    tags = [dict(row) for row in TAGS]
    tags[50]["score"] = odd
    path = write(tags, tmp_path / "t.csv")
    example = f"tags.score is no number in 1 of 62 rows, for example '{odd}'; convert it"
    with refused(tmp_path, ps.InputError, example):
        search(tags=path, min_score=0.5)


NAMES = {
    "decimals": ("1.1", "1.10", "1.2"),
    "exponents": ("3e2", "300", "0.3e3"),
    "long": ("12345678901234567890", "12345678901234567891", "12345678901234567892"),
    "zeros": ("007", "7", "07"),
    "truth": ("True", "False", "None"),
}


@pytest.mark.filterwarnings("ignore:there are classes that are alike:prime_sql.InputWarning")
@pytest.mark.parametrize("kind", NAMES)
def test_names_that_are_one_number(kind: str, tmp_path: Path) -> None:
    rows = relabelled(NAMES[kind])
    path = write(rows, tmp_path / "p.csv")
    assert found(search(path)) == expected(rows)
    # In a group, beside a condition that reads it as a number, and in a tag.
    grouped = with_column(PREDICTIONS, "version", (row["label"] for row in rows))
    path = write(grouped, tmp_path / "v.csv")
    want = expected(grouped, class_of=lambda row: row["version"])
    assert found(search(path, group_by="version")) == want
    if kind in ("decimals", "zeros"):
        assert found(search(path, group_by="version", where="version > 0")) == want


@pytest.mark.filterwarnings("ignore:2 tags are alike:prime_sql.InputWarning")
def test_tags_that_are_one_number(tmp_path: Path) -> None:
    tags = [
        {**row, "tag": {"snow": "1.10", "toy": "1.1"}.get(row["tag"], row["tag"])} for row in TAGS
    ]
    assert found(search(tags=write(tags, tmp_path / "t.csv"))) == expected(tags=tags)


def test_one_number_written_in_two_ways(tmp_path: Path) -> None:
    rows = relabelled(("1", "2", "3"), ("1.0", "2", "3"))
    path = write(rows, tmp_path / "p.csv")
    with refused(
        tmp_path, ps.InputError, "hold '1' and '1.0', which are one number but two names; write"
    ):
        search(path)


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [(("True", "False"), ("true", "false")), (("TRUE", "FALSE"), ("True", "False"))],
)
def test_truth_values_that_are_written_in_two_ways(
    labels: tuple[str, str], predictions: tuple[str, str], tmp_path: Path
) -> None:
    rows = relabelled(
        (labels[0], labels[1], labels[1]), (predictions[0], predictions[1], predictions[1])
    )
    run = search(write(rows, tmp_path / "p.csv"))
    assert found(run) == expected(
        rows, is_error=lambda row: row["label"].lower() != row["prediction"].lower()
    )


VERSIONS = ("1.1", "1.10", "1.2")
CONDITIONS = {
    "version = '1.10'": lambda version: version == "1.10",
    "version in ('1.10', '1.2')": lambda version: version in ("1.10", "1.2"),
    "version <> '1.1'": lambda version: version != "1.1",
    "cast(version as varchar) = '1.10'": lambda version: version == "1.10",
    "version > 1.15": lambda version: float(version) > 1.15,
    "version = 1.1": lambda version: float(version) == 1.1,
    "version = version": lambda version: True,
}


@pytest.mark.filterwarnings("ignore:.* tag rows were left out:prime_sql.InputWarning")
@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_on_what_may_be_a_number(condition: str, tmp_path: Path) -> None:
    rows = with_column(PREDICTIONS, "version", (VERSIONS[n % 3] for n in range(len(PREDICTIONS))))
    path = write(rows, tmp_path / "p.csv")
    kept = [row for row in rows if CONDITIONS[condition](row["version"])]
    assert kept
    run = search(path, where=condition, min_images=1)
    assert found(run) == expected(kept, min_images=1)


def test_condition_on_a_number_and_a_name(tmp_path: Path) -> None:
    rows = with_column(PREDICTIONS, "version", (VERSIONS[n % 3] for n in range(len(PREDICTIONS))))
    path = write(rows, tmp_path / "p.csv")
    with refused(
        tmp_path,
        ps.InputError,
        "predictions.version is used as a number and also",
        "cast(version as",
    ):
        search(path, where="version > 1 and version = '1.10'")


def test_columns_that_are_compared_with_each_other(tmp_path: Path) -> None:
    codes = relabelled(("1.1", "1.10", "1.2"), ("1.10", "1.1", "1.2"))
    run = search(write(codes, tmp_path / "p.csv"), error="label <> prediction")
    assert found(run) == expected(codes)
    numbers = relabelled(("1", "2", "3"), ("1.0", "2.0", "3.0"))
    run = search(write(numbers, tmp_path / "q.csv"), error="label <> prediction")
    assert found(run) == expected(
        numbers, is_error=lambda row: float(row["label"]) != float(row["prediction"])
    )


DAYS = {
    "2020-{0:02}-{1:02}": "day >= date '2020-02-01'",
    "{0:02}/{1:02}/2020": "day >= date '2020-02-01'",
    "{1:02}.{0:02}.2020": "day >= '2020-02-01'",
    "2020-{0:02}-{1:02} 10:00:00": "day >= timestamp '2020-02-01'",
    "2020-{0:02}-{1:02}T10:00:00Z": "day >= '2020-02-01'",
}


@pytest.mark.filterwarnings("ignore:.* tag rows were left out:prime_sql.InputWarning")
@pytest.mark.parametrize("form", DAYS)
def test_days(form: str, tmp_path: Path) -> None:
    days = [form.format(1 + n % 3, 13 + n % 9) for n in range(len(PREDICTIONS))]
    rows = with_column(PREDICTIONS, "day", days)
    kept = [row for n, row in enumerate(rows) if n % 3]
    run = search(write(rows, tmp_path / "p.csv"), where=DAYS[form], min_images=2)
    assert found(run) == expected(kept, min_images=2)


def test_days_that_may_be_months(tmp_path: Path) -> None:
    days = [f"0{1 + n % 3}/0{1 + n % 9}/2020" for n in range(len(PREDICTIONS))]
    path = write(with_column(PREDICTIONS, "day", days), tmp_path / "p.csv")
    with refused(
        tmp_path, ps.InputError, "predictions.day holds dates that can be read with the day or"
    ):
        search(path, where="day >= date '2020-01-01'")
    assert found(search(path)) == expected()
