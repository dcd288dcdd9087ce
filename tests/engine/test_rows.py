"""Rows as JSON, CSV and Markdown."""

import csv
import io
import json
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from prime_sql.engine import rows
from prime_sql.engine.rows import Format
from tests.cells import HOSTILE, cells


def test_json_holds_every_text_as_it_is(hostile):
    assert json.loads(rows.render(hostile, Format.json)) == hostile.to_dicts()


def test_csv_holds_every_text_as_it_is(hostile):
    text = rows.render(hostile, Format.csv)
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines[0] == ["tags", "images"]
    assert [line[0] for line in lines[1:]] == HOSTILE


def test_csv_tells_an_empty_text_from_none():
    assert rows.render(pl.DataFrame({"a": ["", None, "x"]}), Format.csv) == 'a\n""\n\nx'


def test_markdown_keeps_every_row_on_one_line_of_two_cells(hostile):
    text = rows.render(hostile, Format.markdown)
    lines = text.split("\n")
    assert lines[:2] == ["| tags | images |", "| --- | ---: |"]
    assert len(lines) == len(HOSTILE) + 2
    assert {len(cells(line)) for line in lines} == {2}
    # Nothing drives a terminal, breaks out of the cell, or reads as markup.
    assert all(char.isprintable() or char == "\n" for char in text)
    found = dict(zip(HOSTILE, (cells(line)[0] for line in lines[2:]), strict=True))
    assert found["two\nlines"] == "two<br>lines"
    assert found["carriage\rreturn"] == "carriage<br>return"
    assert found["back\\slash"] == "back\\\\slash"
    assert found["a | pipe"] == "a \\| pipe"
    assert found["[bold]markup[/bold] [link=x]"] == "\\[bold\\]markup\\[/bold\\] \\[link=x\\]"
    assert found["<b>html</b> *star* `code` _under_"] == (
        "\\<b\\>html\\</b\\> \\*star\\* \\`code\\` \\_under\\_"
    )
    assert found["\x1b[31mred\x1b[0m"] == "\\\\x1b\\[31mred\\\\x1b\\[0m"


def test_markdown_keeps_names_readable():
    frame = pl.DataFrame({"class_name": ["skin_tone"], "a|b": ["x"]})
    assert rows.render(frame, Format.markdown).split("\n") == [
        "| class_name | a\\|b |",
        "| --- | --- |",
        "| skin_tone | x |",
    ]


def test_json_of_all_types():
    frame = pl.DataFrame(
        {
            "sum": [Decimal(1952)],  # DuckDB's sum of whole numbers is one
            "price": [Decimal("1.25")],
            "nan": [float("nan")],
            "list": [["a", "b"]],
            "struct": [{"a": [1]}],
            "when": [date(2024, 2, 1)],
            "blob": [b"\x00x"],
            "none": [None],
            "yes": [True],
        }
    )
    assert json.loads(rows.render(frame, Format.json)) == [
        {
            "sum": 1952,
            "price": 1.25,
            "nan": None,
            "list": ["a", "b"],
            "struct": {"a": [1]},
            "when": "2024-02-01",
            "blob": "0078",
            "none": None,
            "yes": True,
        }
    ]
    (line,) = list(csv.reader(io.StringIO(rows.render(frame, Format.csv))))[1:]
    assert line[:2] == ["1952", "1.25"]
    assert line[3:6] == ['["a", "b"]', '{"a": [1]}', "2024-02-01"]
    markdown = cells(rows.render(frame, Format.markdown).split("\n")[2])
    assert markdown[:2] == ["1952", "1.25"]
    assert markdown[3] == '\\["a", "b"\\]'
    assert markdown[6] == "0078"


@pytest.mark.parametrize(("form", "text"), [("json", "[]"), ("csv", "a,b")])
def test_no_rows(form, text):
    frame = pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})
    assert rows.render(frame, Format(form)) == text
    assert rows.render(frame, Format.markdown) == "| a | b |\n| ---: | --- |"
