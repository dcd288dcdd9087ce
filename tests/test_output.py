"""Rows as text and files: what people and programs read, whatever stands in a cell."""

import csv
import io
import json
import os
import subprocess
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.cells import cell_len
from rich.console import Console

from prime_sql import output
from prime_sql.errors import OptionError, WarehouseError
from prime_sql.output import Format
from prime_sql.rank import Summary

HOSTILE = [
    "plain",
    "\x1b[31mred\x1b[0m",
    "[bold]markup[/bold] [link=x]",
    ":smile:",
    "two\nlines",
    "carriage\rreturn",
    "a | pipe",
    "back\\slash",
    "trailing\\",
    'say "x", please',
    "it's",
    "<b>html</b> *star* `code` _under_",
    "tab\tbell\x07null\x00",
    "猿 🐒 é",
    "",
    "x" * 10_000,
    "=1+1",
    "\u202eright to left",
]


def table(frame, width=80, **how):
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    output.show(frame, console, **how)
    return console.file.getvalue()


@pytest.fixture
def hostile():
    return pl.DataFrame({"tags": HOSTILE, "images": range(len(HOSTILE))})


def test_json_holds_every_text_as_it_is(hostile):
    assert json.loads(output.render(hostile, Format.json)) == hostile.to_dicts()


def test_csv_holds_every_text_as_it_is(hostile):
    text = output.render(hostile, Format.csv)
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines[0] == ["tags", "images"]
    assert [line[0] for line in lines[1:]] == HOSTILE


def test_csv_tells_an_empty_text_from_none():
    assert output.render(pl.DataFrame({"a": ["", None, "x"]}), Format.csv) == 'a\n""\n\nx'


def cells(line):
    """Split a row of a Markdown table where Markdown would."""
    found, escaped = [""], False
    for char in line.removeprefix("| ").removesuffix(" |"):
        if char == "|" and not escaped:
            found.append("")
        else:
            found[-1] += char
        escaped = char == "\\" and not escaped
    return [cell.strip() for cell in found]


def test_markdown_keeps_every_row_on_one_line_of_two_cells(hostile):
    text = output.render(hostile, Format.markdown)
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
    assert output.render(frame, Format.markdown).split("\n") == [
        "| class_name | a\\|b |",
        "| --- | --- |",
        "| skin_tone | x |",
    ]


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
    # At least one column stands, however narrow the window.
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
    assert json.loads(output.render(frame, Format.json)) == [
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
    (line,) = list(csv.reader(io.StringIO(output.render(frame, Format.csv))))[1:]
    assert line[:2] == ["1952", "1.25"]
    assert line[3:6] == ['["a", "b"]', '{"a": [1]}', "2024-02-01"]
    markdown = cells(output.render(frame, Format.markdown).split("\n")[2])
    assert markdown[:2] == ["1952", "1.25"]
    assert markdown[3] == '\\["a", "b"\\]'
    assert markdown[6] == "0078"


@pytest.mark.parametrize(("form", "text"), [("json", "[]"), ("csv", "a,b")])
def test_no_rows(form, text):
    frame = pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})
    assert output.render(frame, Format(form)) == text
    assert output.render(frame, Format.markdown) == "| a | b |\n| ---: | --- |"


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
    output.show_summary(Summary(rows, **known), console, rest="--format csv")
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


# Files --------------------------------------------------------------------------------------------


def read(path):
    if path.suffix.lower() == ".parquet":
        return pl.read_parquet(path)
    if path.suffix.lower() == ".csv":
        return pl.read_csv(path)
    return pl.DataFrame(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.json", "Rows.PARQUET"])
def test_files_hold_every_row(hostile, tmp_path, name):
    frame = hostile.with_columns(accuracy=1 / (pl.col("images") + 3))
    path = tmp_path / name
    path.write_text("what was there before")
    output.write(frame, output.check_file(path))
    assert_frame_equal(read(path), frame, check_dtypes=False)
    assert [other.name for other in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "name", ["rows.xlsx", "rows", ".parquet", "missing/rows.csv", "folder.csv"]
)
def test_files_that_cannot_be_written_are_refused_beforehand(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OptionError, match="cannot write"):
        output.check_file(tmp_path / name)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.json"])
def test_on_a_full_disk_the_file_that_was_there_stays(small_disk, name):
    path = small_disk / name
    path.write_text("before")
    rows = pl.DataFrame({"image_id": [f"{number * 7919 % 1_000_003:x}" for number in range(10**6)]})
    with pytest.raises(WarehouseError, match=f"cannot write .*{name}: .*No space left on device"):
        output.write(rows, path)
    assert path.read_text() == "before"
    assert [other.name for other in small_disk.iterdir()] == [name]


def test_files_that_belong_together_appear_together(tmp_path, small_disk):
    first, last = tmp_path / "report.html", small_disk / "rows.csv"
    first.write_text("before")
    with output.Files() as files:
        files.write("after", first)
        assert first.read_text() == "before"
        with pytest.raises(WarehouseError, match="No space left on device"):
            files.write("x" * 2**21, last)
    assert first.read_text() == "before"
    assert [*tmp_path.iterdir(), *small_disk.iterdir()] == [first]
    with output.Files() as files:
        files.write("after", first)
        files.write("rows", last)
        files.publish()
    assert (first.read_text(), last.read_text()) == ("after", "rows")
    assert [*tmp_path.iterdir(), *small_disk.iterdir()] == [first, last]


def test_a_file_that_cannot_take_its_place_takes_the_others_back(tmp_path):
    old, new, mounted = (tmp_path / name for name in ("old.txt", "new.txt", "mounted.txt"))
    old.write_text("before")
    mounted.write_text("before")
    inode = old.stat().st_ino
    mount = ["mount", "--bind", str(mounted), str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("it takes the right to mount")
    try:
        with output.Files() as files:
            for place in (old, new, mounted):
                files.write("after", place)
            with pytest.raises(WarehouseError, match=r"cannot write .*mounted"):
                files.publish()
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    assert sorted(tmp_path.iterdir()) == [mounted, old]
    assert (old.read_text(), mounted.read_text()) == ("before", "before")
    assert old.stat().st_ino == inode


def test_what_fails_after_the_renames_takes_files_back(tmp_path, monkeypatch):
    def no_links(*_):  # as on some file systems
        raise PermissionError

    monkeypatch.setattr(output.os, "link", no_links)
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("before")
    with pytest.raises(KeyError), output.Files() as files:  # noqa: PT012
        files.write("after", old)
        files.write("after", new)
        with files.published():
            assert (old.read_text(), new.read_text()) == ("after", "after")
            raise KeyError
    assert [*tmp_path.iterdir()] == [old]
    assert old.read_text() == "before"
    assert not files.lost


def test_a_link_stays_a_link_and_the_file_keeps_its_mode(tmp_path):
    file, link = tmp_path / "2024.html", tmp_path / "latest.html"
    file.write_text("before")
    file.chmod(0o604)
    link.symlink_to(file.name)
    output.write_text("after", link)
    assert link.is_symlink()
    assert file.read_text() == "after"
    assert file.stat().st_mode & 0o777 == 0o604


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "report.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.write_text("after", pipe)
    assert os.read(reader, 100) == b"after"
    os.close(reader)
    assert pipe.is_fifo()


def test_what_a_killed_process_left_is_removed(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    leftover = tmp_path / f".rows.csv.{dead.pid}-1a2b.partial"
    busy = tmp_path / f".rows.csv.{os.getpid()}-1a2b.partial"
    for file in (leftover, busy):
        file.write_text("half")
    output.write_text("whole", tmp_path / "rows.csv")
    assert sorted(tmp_path.iterdir()) == [busy, tmp_path / "rows.csv"]
