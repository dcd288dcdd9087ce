"""Options out of range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prime_sql as ps
from tests.refusals import refused
from tests.tables import search

OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"max_tags": 0}, "max_tags must be at least 1, got 0"),
    ({"max_tags": 7}, "max_tags must be at most 6, got 7"),
    ({"max_tags": float("inf")}, "max_tags must be a whole number, got inf"),
    ({"min_images": 0}, "min_images must be at least 1, got 0"),
    ({"min_images": 2.5}, "min_images must be a whole number, got 2.5"),
    ({"min_images": True}, "min_images must be a whole number, got True"),
    ({"min_images": "30"}, "min_images must be a whole number, got '30'"),
    ({"min_drop": 0}, "min_drop must be between 0.001 and 1, got 0"),
    ({"min_drop": 30}, "min_drop must be between 0.001 and 1, got 30"),
    ({"min_drop": float("nan")}, "min_drop must be a finite number, got nan"),
    ({"necessity": ()}, "necessity needs at least one number"),
    ({"necessity": (0.1, -0.1)}, "necessity must lie between 0 and 1, got -0.1"),
    ({"necessity": "0.1"}, "necessity must be numbers such as (0.10, 0.05, 0.025), got '0.1'"),
    ({"necessity": None}, "necessity must be numbers such as"),
    ({"min_tag_images": 0}, "min_tag_images must be at least 1, got 0"),
    ({"max_absent": -1}, "max_absent must be at least 0, got -1"),
    ({"max_absent": 7}, "max_absent must be at most 6, got 7"),
    ({"max_q": 0}, "max_q must be above 0 and at most 1, got 0"),
    ({"max_q": "5%"}, "max_q must be a finite number, got '5%'"),
    ({"method": "fast"}, "method must be one of exhaustive, greedy, got 'fast'"),
    ({"width": 0}, "width must be at least 1, got 0"),
    ({"split": "half"}, "give split (a column), find and check"),
    ({"split": "half", "find": "a", "check": "a"}, "find and check are both 'a'"),
    ({"group_by": ()}, "group_by needs at least one column"),
    ({"group_by": "label,"}, "group_by must be non-empty text, got ''"),
    ({"group_by": "label,label"}, "group_by names a column twice: label, label"),
    ({"group_by": 5}, "group_by must be one or more columns, got 5"),
    ({"error": ""}, "error must be non-empty text, got ''"),
    ({"where": " "}, "where must be non-empty text, got ' '"),
    ({"where": 1}, "where must be non-empty text, got 1"),
    ({"image_id": ""}, "image_id must be non-empty text, got ''"),
    ({"label": None}, "label must be non-empty text, got None"),
    ({"prediction": 1}, "prediction must be non-empty text, got 1"),
    ({"tag": ""}, "tag must be non-empty text, got ''"),
    ({"score": ""}, "score must be non-empty text, got ''"),
    ({"min_score": "0.5"}, "min_score must be a finite number, got '0.5'"),
    ({"wide": 1}, "wide must be True or False, got 1"),
    ({"present": "value > 0"}, "present is about the columns of a wide tags table: add wide"),
    ({"present": " ", "wide": True}, "present must be non-empty text, got ' '"),
    ({"split_tags": ""}, "split_tags must be the text between two tags, got ''"),
    ({"split_tags": ";", "wide": True}, "split_tags is for a column of tags"),
    ({"normalise_tags": 1}, "normalise_tags must be True or False, got 1"),
    ({"wide": True, "min_score": 0.5}, "min_score needs a long tags table"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=[str(case[0]) for case in OPTIONS])
def test_options_out_of_range(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with refused(tmp_path, ps.OptionError, message):
        search(into=tmp_path / "new.duckdb", **options)


def test_every_option_has_a_value_that_is_refused() -> None:
    assert {name for options, _ in OPTIONS for name in options} == {*ps.Options.__annotations__}
