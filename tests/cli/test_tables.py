"""Tables and summaries on a terminal."""

import io
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

from prime_sql.cli import tables
from prime_sql.questions.rank import Summary


def table(frame, width=80, **how):
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    tables.show(frame, console, **how)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_table_shows_hostile_text_harmlessly(hostile, width):
    text = table(hostile, width)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert max(map(len, text.split("\n"))) <= width
    for shown in ("\\x1b[31mred", "[bold]markup[/bold]", ":smile:", "two\\nlines", "猿 🐒 é"):
        assert shown in text
    assert text.count("x" * 10) < 30  # 10,000 characters are cut
    assert "…" in text


def test_table_says_how_many_rows_and_columns_are_left_out():
    frame = pl.DataFrame({f"column{n}": range(1000) for n in range(20)})
    text = table(frame, 60)
    assert "… and 960 more rows; --format csv prints all." in text
    assert "No room for column" in text.replace("\n", " ")
    assert "column19" in text
    assert "more row;" in table(pl.DataFrame({"a": range(41)}))
    # At least one column stays, however narrow the window.
    assert "column0" in table(frame, 12)


def test_wide_characters_take_the_room_that_they_need():
    monkeys = "🐒" * 8  # each takes two columns of the terminal
    text = table(pl.DataFrame({name: [monkeys] for name in "abcd"}), 60)
    assert text.count(monkeys) == 3
    assert "No room for d;" in text
    assert max(map(cell_len, text.split("\n"))) <= 60


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (0.123456, "0.123"),
        (0.5, "0.5"),
        (0.0, "0.0"),
        (1234.56, "1,234.6"),
        (-0.25, "-0.25"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (True, "True"),
        (Decimal(1952), "1,952"),
        (Decimal("1.25"), "1.25"),
        ([1, 2], "[1, 2]"),
        ({"a": [1]}, '{"a": [1]}'),
        (date(2024, 2, 1), "2024-02-01"),
        (b"\x00x", "b'\\x00x'"),
    ],
    ids=str,
)
def test_cells_of_a_table(value, shown):
    lines = table(pl.DataFrame({"column": [value]})).split("\n")
    assert lines[3].strip() == shown
    assert table(pl.DataFrame({"column": [value, None]})).split("\n")[4].strip() == ""


def summary(shown, **others):
    """A summary of so many equal rows, printed."""
    row = {
        "class_name": "People & Body",
        "tags": "medium-light skin tone + smile",
        "images": 1234,
        "accuracy": 0.123,
        "accuracy_drop": 0.7,
        "new_errors": 10,
        "cumulative_coverage": 0.5,
    }
    rows = pl.DataFrame([row] * shown)
    console = Console(file=io.StringIO(), width=80, markup=False, emoji=False)
    known = {"modes": 72, "hidden": 0, "errors": 200, "complete": False, **others}
    tables.show_summary(Summary(rows, **known), console, rest="--format csv")
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_summary_fits_eighty_columns():
    lines = summary(3, hidden=41)
    assert lines[0] == "72 failure modes"
    assert max(map(len, lines)) <= 80
    assert "No room" not in "".join(lines)
    assert sum("People & Body" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("shown", "others", "said"),
    [
        (
            10,
            {"hidden": 41},
            [
                "10 of 72 failure modes shown; 41 near-duplicates hidden.",
                "Those shown explain 50% of 200 errors.",
                "All 72: --format csv",
            ],
        ),
        (
            1,
            {"modes": 3, "hidden": 1, "errors": 40, "complete": True},
            [
                "1 of 3 failure modes shown; 1 near-duplicate hidden.",
                "That shown explains 25% of 40 errors. The other 1 explains no further error.",
                "All 3: --format csv",
            ],
        ),
        (
            1,
            {"modes": 1, "errors": 10, "complete": True},
            ["1 of 1 failure mode shown.", "That shown explains 100% of 10 errors."],
        ),
        (
            2,
            {"modes": 4, "hidden": 2, "errors": 10_000, "complete": True},
            [
                "2 of 4 failure modes shown; 2 near-duplicates hidden.",
                "Those shown explain 0% of 10,000 errors.",
                "All 4: --format csv",
            ],
        ),
    ],
)
def test_a_summary_says_what_is_not_shown(shown, others, said):
    assert summary(shown, **others)[-len(said) :] == said
