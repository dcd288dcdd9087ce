"""Conditions that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import prime_sql as ps
from tests.refusals import refused
from tests.tables import search

NOT_ONE = ["must be one SQL condition", "split = 'test'"]

NOT_SQL = ["is not an SQL condition"]

CONDITIONS: dict[str, list[str]] = {
    "drop table x": NOT_ONE,
    "true; drop table x": NOT_ONE,
    "select 1": NOT_ONE,
    "*": NOT_ONE,
    "true union all select 1": NOT_ONE,
    "label =": NOT_SQL,
    "true) or (true": NOT_SQL,
    "true limit 3": NOT_SQL,
    "label": ["must be true or false for each row", "'label' is string"],
    "'x'": ["must be true or false for each row"],
    "{{ 1 }}": ["must be true or false for each row"],
    "label + 1 > 2": ["does not fit the predictions: Binder Error: No function matches"],
    "nonsense(label)": ["does not fit the predictions: Catalog Error"],
    "count(*) > 1": ["does not fit the predictions", "aggregates"],
    "row_number() over () > 1": ["does not fit the predictions", "window"],
    "label = ?": ["does not fit the predictions"],
    "tags.label = 'snow'": ["does not fit the predictions", '"tags" not found'],
    "label in (select nope from source_predictions)": ["does not fit the predictions", "nope"],
    "cast(label as integer) > 1": ["cannot be computed on every row", "'ape' to INT32"],
}  # fmt: skip


@pytest.mark.parametrize("option", ["where", "error"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_that_are_none(option: str, condition: str, tmp_path: Path) -> None:
    with refused(tmp_path, ps.OptionError, f"{option} ", *CONDITIONS[condition]):
        search(into=tmp_path / "new.duckdb", **{option: condition})


@pytest.mark.parametrize("option", ["where", "error"])
@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("labl = 'ape'", "no column 'labl'. Did you mean 'label'?"),
        ('split = "test"', "no column 'test'. Text goes in single quotes: 'test'."),
        ("nope = 1", "no column 'nope'. It has: image_id, label, prediction, region, split."),
        ("class_name = 'ape'", "no column 'class_name'."),
    ],
)
def test_conditions_on_unknown_columns(option: str, condition: str, hint: str) -> None:
    with pytest.raises(ps.InputError, match=re.escape(f"{option}: predictions has {hint}")):
        search(**{option: condition})
