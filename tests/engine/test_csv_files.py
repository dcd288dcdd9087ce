"""How CSV files are written: read for sure, or refused with the file and the line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import prime_sql as ps
from tests.refusals import refused
from tests.tables import PREDICTIONS, TAGS, Rows, expected, found, frame, search


def text(rows: Rows, delimiter: str = ",", end: str = "\n", quoting: int = 0, head: int = 1) -> str:
    """The rows as CSV; with `head` 0 without a header."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([list(rows[0])][:head] + [list(row.values()) for row in rows])
    return file.getvalue()


P, T = text(PREDICTIONS), text(TAGS)


def late(column: str, value: str, rows: Rows) -> Rows:
    """The rows behind more than an engine looks at to guess, of images of their own class."""
    first = dict.fromkeys(rows[0], "x")
    others = [{**first, "image_id": f"x{number}"} for number in range(21_000)]
    return [*others, *({**row, column: value.format(row[column])} for row in rows)]


WRITTEN = {
    "semicolons": text(PREDICTIONS, ";"),
    "tabs": text(PREDICTIONS, "\t"),
    "bars": text(PREDICTIONS, "|"),
    "windows": text(PREDICTIONS, end="\r\n"),
    "old mac": text(PREDICTIONS, end="\r"),
    "mark of the order of bytes": "\ufeff" + P,
    "no end": P.rstrip("\n"),
    "blank lines": P.replace("\nimg-02", "\n\nimg-02"),
    "quotes": text(PREDICTIONS, quoting=csv.QUOTE_ALL),
    "apostrophes": text(PREDICTIONS, quoting=csv.QUOTE_ALL).replace('"', "'"),
    "said by Excel": "sep=;\n" + text(PREDICTIONS, ";"),
    "index of pandas": text([{"": n, **row} for n, row in enumerate(PREDICTIONS)]),
    "comma at each end": P.replace("\n", ",\n"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_ways_to_write_a_table(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(WRITTEN[kind], newline="")
    assert found(search(path)) == expected()


def test_quotes_that_begin_late(tmp_path: Path) -> None:
    rows = late("region", "{0}, far", PREDICTIONS)
    path = tmp_path / "p.csv"
    path.write_text(text(rows))
    with pytest.warns(ps.InputWarning, match="21,000 of 21,045 images have no tag"):
        run = search(path, group_by="label,region")
    modes = found(run)
    assert ("bear | north, far", ("snow",)) in modes
    assert modes == expected(rows, class_of=lambda row: f"{row['label']} | {row['region']}")


def test_backslashes_before_quotes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(T.replace("tree", '"a \\"tall\\" tree"'))
    tags = [{**row, "tag": row["tag"].replace("tree", 'a "tall" tree')} for row in TAGS]
    assert found(search(tags=path)) == expected(tags=tags)


def test_lines_above_the_header_are_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"Predictions, of June\n\n{P}")
    with pytest.warns(ps.InputWarning, match=r"p\.csv\): 2 lines above the header .* left out"):
        run = search(path)
    assert found(run) == expected()


def test_each_file_of_a_glob_is_read_as_it_is_written(tmp_path: Path) -> None:
    backwards = [dict(reversed(row.items())) for row in PREDICTIONS[20:]]
    for row in backwards:
        row["LABEL"] = row.pop("label")
    (tmp_path / "p1.csv").write_text(text(PREDICTIONS[:20]))
    (tmp_path / "p2.csv").write_text(text(backwards, ";", "\r\n"), newline="")
    assert found(search(f"{tmp_path}/p?.csv")) == expected()


REFUSED: dict[str, tuple[str, list[str]]] = {
    "row too wide": (
        P.replace("img-035,cat", "img-035,cat,big"),
        ["predictions (", "p.csv): line 37 has 6 values where the header has 5: 'img-035,cat,big,",
         "; quote what has ',' in it"],
    ),
    "rows wider from a line on": (
        P.replace("\nimg-04", "\nx,img-04"),
        ["line 42 has 6 values where the header has 5"],
    ),
    "cut off": (
        P + "img-045,ca",
        ["line 47 has 2 values where", "'img-045,ca'; complete it, if it"],
    ),
    "cut off within quotes": (P + 'img-045,"ca', ["line 47 has a quote that is not closed"]),
    "comment": (P.replace("\nimg-03", "\n# more\nimg-03", 1), ["line 32 has 1 value where the"]),
    "header one name short": (
        text(PREDICTIONS, head=1).replace("\n", "\n1,"),
        ["its rows have 6 values, but its header has 5 names (image_id, label, prediction, split,",
         "; name the first column, or write the file without row names"],
    ),
    "comma at the end of each row": (
        P.replace("\n", ",\n").replace("region,", "region"),
        ["its rows have 6 values, but its header has 5 names", "; leave out the ',' that ends"],
    ),
    "header again": (
        P + P.replace("img", "again"),
        ["p.csv): line 47 is a header again; leave it out"],
    ),
    "another header": (
        P + P.replace("image_id,label", "IMAGE_ID,Label").replace("img", "again"),
        ["p.csv): line 47 is a header again; leave it out"],
    ),
    "two line ends": (
        P.replace("\n", "\r\n", 20),
        ["p.csv): its lines do not all end in the same way"],
    ),
    "column twice": (
        P.replace("region", "label"),
        ["p.csv) has 2 columns of one name: 'label' and 'label': rename one"],
    ),
    "column twice but for case": (
        P.replace("region", "Label"),
        ["p.csv) has 2 columns of one name: 'label' and 'Label'; SQL does not tell upper from"],
    ),
    "sorted": (
        "".join(sorted(P.splitlines(keepends=True)[:9], reverse=True)),
        ["p.csv): its header is in line 9, below rows of the same width; put it first"],
    ),
    "blank": ("\n \n", ["predictions has no column 'image_id'"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_lines_that_cannot_be_read_for_sure(kind: str, tmp_path: Path) -> None:
    content, pieces = REFUSED[kind]
    path = tmp_path / "p.csv"
    path.write_text(content, newline="")
    with refused(tmp_path, ps.InputError, *pieces):
        search(path, into=tmp_path / "new.duckdb")


def test_line_far_down(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    more = "".join(f"img-000,t{number},0.5\n" for number in range(150_000))
    path.write_text(f"{T}{more}img-000,x,y,0.5\n{more}")
    line = len(T.splitlines()) + 150_000 + 1
    with refused(tmp_path, ps.InputError, f"t.csv): line {line} has 4 values where the header"):
        search(tags=path)


def test_line_of_one_file_of_several(tmp_path: Path) -> None:
    (tmp_path / "p1.csv").write_text(text(PREDICTIONS[:20]))
    (tmp_path / "p2.csv").write_text(text(PREDICTIONS[20:]).replace("img-035,cat", "img-035,c,cat"))
    with refused(tmp_path, ps.InputError, "p2.csv): line 17 has 6 values where the header has 5"):
        search(f"{tmp_path}/p*.csv")


def test_file_of_a_glob_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "p1.csv").write_text(text(PREDICTIONS[:20]))
    (tmp_path / "p2.csv").write_text(text(PREDICTIONS[20:], head=0))
    with refused(
        tmp_path, ps.InputError,
        "p2.csv has no column 'image_id', but other files of ", "p*.csv have;",
        "its header reads img-020, bear, bear",
    ):  # fmt: skip
        search(f"{tmp_path}/p*.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(P.encode(encoding))
    what = "it is UTF-16: save it as UTF-8" if encoding == "utf-16" else "it is not text"
    with refused(tmp_path, ps.InputError, "p.csv) as CSV: " + what):
        search(path)


def test_file_that_only_the_engine_can_read(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text(PREDICTIONS, ";"))
    assert found(search(f"file://{path}")) == expected()


def test_a_tag_may_be_called_like_its_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    tags = [{**row, "tag": row["tag"].replace("snow", "tag")} for row in TAGS]
    path.write_text(text(tags))
    assert found(search(tags=path)) == expected(tags=tags)
    assert found(search(tags=frame(tags))) == expected(tags=tags)
