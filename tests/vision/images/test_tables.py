"""Images listed by tables, as paths or as bytes."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import duckdb
import ibis
import polars as pl
import pytest

import prime_sql as ps
from prime_sql import vision
from prime_sql.vision import load_images
from tests.vision.images.listing import (
    BYTES,
    EXPECTED,
    NAMES,
    ROWS,
    byte_forms,
    content_of,
    labels,
    problems,
    query,
    write,
    write_table,
)

# Tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_files_of_rows(ending: str, pictures: Path, db: Path) -> None:
    """Columns of any name; relative paths start at the file; what looks like a number is text."""
    manifest = write_table(pictures / f"manifest.{ending}", ROWS)
    assert load_images(manifest, db, **NAMES).problems == 0
    assert labels(db) == EXPECTED
    assert query(db, "select uri from images order by image_id") == [
        (str(pictures / name),) for name in ("a.png", "b.png", "sub/c d.png")
    ]


def forms(pictures: Path, tmp_path: Path) -> dict[str, Any]:
    rows = [{**row, "where": str(pictures / row["where"])} for row in ROWS]
    frame = pl.DataFrame(rows)
    with duckdb.connect(tmp_path / "other.duckdb") as con:
        con.execute("create table manifest as from frame")
    memory = ibis.duckdb.connect()
    return {
        "polars": frame,
        "polars lazy": frame.lazy(),
        "pandas": frame.to_pandas(),
        "arrow": frame.to_arrow(),
        "ibis": memory.create_table("manifest", frame.to_arrow()),
        "database": f"{tmp_path}/other.duckdb:manifest",
    }


@pytest.mark.parametrize("form", ["polars", "polars lazy", "pandas", "arrow", "ibis", "database"])
def test_frames(form: str, pictures: Path, db: Path, tmp_path: Path) -> None:
    load_images(forms(pictures, tmp_path)[form], db, **NAMES)
    assert labels(db) == EXPECTED


def test_a_table_of_the_database_itself(pictures: Path, db: Path) -> None:
    frame = pl.DataFrame(ROWS)  # noqa: F841  # DuckDB finds it
    with duckdb.connect(db) as con:
        con.execute("create table manifest as from frame")
    load_images("manifest", db, root=pictures, **NAMES)
    assert labels(db) == EXPECTED
    assert len(query(db, "from manifest")) == len(ROWS)


def test_usual_names(pictures: Path, db: Path) -> None:
    """image_id, label and split under their own names; without image_id, the path as written."""
    for number, column in enumerate(["uri", "path", "file", "file_name", "filename"]):
        rows = [{column: row["where"], "label": row["class"]} for row in ROWS]
        path = db.with_name(f"{number}.duckdb")
        load_images(write_table(pictures / f"{number}.csv", rows), path)
        assert labels(path) == {row["where"]: (None, row["class"]) for row in ROWS}


def test_numbers_become_text(pictures: Path, db: Path) -> None:
    rows = [
        {"image_id": 7, "uri": "a.png", "label": 1},
        {"image_id": 8, "uri": "b.png", "label": 2},
    ]
    load_images(write_table(pictures / "m.parquet", rows), db)
    assert labels(db) == {"7": (None, "1"), "8": (None, "2")}


def test_paths_and_uris(pictures: Path, db: Path, tmp_path: Path) -> None:
    text = base64.b64encode(content_of("inline")).decode()
    rows = {
        "absolute": str(pictures / "a.png"),
        "relative": "sub/c d.png",
        "dots": "sub/../b.png",
        "file": (pictures / "sub/c d.png").as_uri(),
        "data": f"data:image/png;base64,{text}",
        "missing": "nowhere.png",
        "folder": "sub",
    }
    frame = pl.DataFrame({"image_id": list(rows), "uri": list(rows.values())})
    with pytest.warns(
        ps.InputWarning, match="1 image has the content .* 'relative' that of 'file'"
    ):
        done = load_images(frame, db, root=pictures)
    assert (done.images, done.problems) == (5, 2)
    assert problems(db) == {"missing": "there is no such file", "folder": "it is a folder"}
    found = dict(query(db, "select image_id, sha256 from images"))
    names = {"absolute": "a.png", "relative": "sub/c d.png", "dots": "b.png", "file": "sub/c d.png"}
    names["data"] = "inline"
    assert found == {i: hashlib.sha256(content_of(n)).hexdigest() for i, n in names.items()}


def test_where_relative_paths_start(pictures: Path, db: Path, monkeypatch: Any) -> None:
    frame = pl.DataFrame({"uri": ["a.png"]})
    rows = [{"uri": "pictures/a.png"}]
    monkeypatch.chdir(pictures)
    places: dict[str, Any] = {
        "here": {"source": frame},
        "root": {"source": frame, "root": str(pictures)},
        "relative root": {"source": frame, "root": "../pictures"},
        "uri": {"source": frame, "root": f"file://{pictures}"},
        "beside": {"source": write_table(db.parent / "m.csv", rows)},
        "beside, relative": {"source": write_table(db.parent / "m.parquet", rows)},
        "glob": {"source": "../m*.parquet", "root": ".."},
    }
    places["beside, relative"]["source"] = "../m.parquet"
    for name, options in places.items():
        path = db.with_name(f"{name}.duckdb")
        assert load_images(into=path, **options).problems == 0, name
        uri = str(pictures / "a.png")
        assert query(path, "select uri from images") == [
            (f"file://{uri}" if name == "uri" else uri,)
        ], name


# Bytes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["polars", "pandas", "arrow", "large", "parquet", "structs", "structs in parquet"]
)
def test_bytes(form: str, db: Path, tmp_path: Path) -> None:
    source = byte_forms(tmp_path)[form]
    done = load_images(source, db)
    assert (done.images, done.problems) == (2, 1)
    assert labels(db) == {"1": (None, "x"), "2": (None, "y")}
    assert query(db, "select distinct uri from images") == [(None,)]
    assert dict(query(db, "from image_bytes")) == {"1": BYTES[0], "2": BYTES[1]}
    assert problems(db) == {"3": "not an image of a known format"}
    assert query(db, "select uri from image_problems") == [(None,)]
    assert dict(query(db, "select image_id, sha256 from images")) == {
        str(i): hashlib.sha256(content).hexdigest() for i, content in enumerate(BYTES[:2], 1)
    }
    assert load_images(source, db).images == 0  # the bad one is tried again, and that is all
    assert len(problems(db)) == 1


def test_bytes_under_another_name(db: Path) -> None:
    frame = pl.DataFrame({"id": ["a"], "jpg": [BYTES[0]]})
    load_images(frame, db, image_id="id", bytes_="jpg")
    assert labels(db).keys() == {"a"}


def test_as_hugging_face_stores_them(pictures: Path, db: Path) -> None:
    """Bytes, and their path; or a path only. The path is the image_id if there is none."""
    structs = [{"bytes": BYTES[0], "path": "x.png"}, {"bytes": None, "path": "a.png"}]
    frame = pl.DataFrame({"image": structs, "label": [0, 1]})
    load_images(frame, db, root=pictures)
    assert labels(db) == {"x.png": (None, "0"), "a.png": (None, "1")}
    assert dict(query(db, "select image_id, uri from images")) == {
        "x.png": None,
        "a.png": str(pictures / "a.png"),
    }


def test_bytes_beside_paths(pictures: Path, db: Path) -> None:
    """The bytes are read, unless the column of paths is asked for."""
    frame = pl.DataFrame({"image_id": ["1", "2"], "file": ["no.png", "a.png"],
                          "bytes": [BYTES[0], None]})  # fmt: skip
    assert load_images(frame, db, root=pictures).problems == 0
    assert dict(query(db, "select image_id, uri from images")) == {
        "1": None,
        "2": str(pictures / "a.png"),
    }
    other = db.with_name("other.duckdb")
    load_images(frame, other, uri="file", root=pictures)
    assert problems(other) == {"1": "there is no such file"}


def test_no_bytes_in_the_bytes(db: Path) -> None:
    frame = pl.DataFrame({"image_id": ["a", "b"], "bytes": [b"", BYTES[0]]})
    load_images(frame, db)
    assert problems(db) == {"a": "the file is empty"}


# Wrong input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ({"image_id": ["a", "a", "b"], "uri": ["1", "2", "3"]}, {}, "1 image_ids .* such as 'a'"),
        ({"uri": ["1", "2", "1"]}, {}, "more than once, such as '1'"),
        ({"image_id": ["a", None], "uri": ["1", "2"]}, {}, "1 of 2 rows have no image_id"),
        ({"image_id": ["a", ""], "uri": ["1", "2"]}, {}, "1 of 2 rows have no image_id"),
        ({"image_id": ["a", "b"], "uri": ["1", None]}, {}, "1 of 2 rows have no uri"),
        ({"image_id": ["a", "b"], "uri": ["1", ""]}, {}, "1 of 2 rows have no uri"),
        ({"image_id": ["a", "b"], "bytes": [b"1", None]}, {}, "1 of 2 rows have no uri"),
        ({"image_id": [], "uri": []}, {}, "has no rows"),
        ({"id": ["a"], "url": ["1"]}, {}, "neither a column of URIs .* --uri .* id, url"),
        ({"id": ["a"], "url": ["1"]}, {"uri": "urls"}, "no column 'urls' .* mean 'url'"),
        ({"id": ["a"], "uri": ["1"]}, {"image_id": "ids"}, "'ids' .--image-id.* mean 'id'"),
        ({"id": ["a"], "bytes": [b"1"]}, {}, "no column 'image_id' .--image-id"),
        ({"id": ["a"], "uri": ["1"]}, {"bytes_": "id"}, "'id' is string; give a column of bytes"),
        ({"id": ["a"], "uri": ["1"]}, {"bytes_": "ide"}, "no column 'ide' .--bytes.* mean 'id'"),
        ({"image_id": ["a"], "image": ["1"]}, {}, "neither a column of URIs nor of bytes"),
    ],
)
def test_wrong_tables(
    rows: dict[str, Any], options: dict[str, Any], message: str, db: Path
) -> None:
    with pytest.raises(ps.InputError, match=message):
        load_images(pl.DataFrame(rows), db, **options)
    assert not db.exists()  # no empty database stays behind


def test_wrong_sources(folder: Path, db: Path) -> None:
    write(folder).mkdir()
    (folder / "empty").mkdir()
    (folder / "empty.csv").touch()
    for source, message in [
        (folder / "empty", "there is no file in .*empty; give a folder with images"),
        (f"{folder}/*.png", "no file matches"),
        (f"{folder}/e*y", "there is no file in .*e.y"),
        (folder / "empty.csv", "is empty"),
        (folder / "other.csv", "there is no file .*other.csv"),
        (folder / "nowhere", "there is no file or folder .*nowhere"),
        (f"{folder}/emty", "there is no file or folder .*emty.*mean 'empty'"),
        (f"{folder}/nowhere/", "there is no file or folder .*nowhere"),
        ("nowhere", "there is no folder, file or table nowhere"),
        (7, "images is int; give"),
        ([{"uri": "a"}], "images is list; give"),
    ]:
        with pytest.raises(ps.InputError, match=message):
            load_images(source, db)
        assert not db.exists()


def test_a_step_after_no_image_could_be_read_points_at_the_reasons(
    tmp_path: Path, db: Path
) -> None:
    (tmp_path / "damaged").mkdir()
    for number in range(21):  # of fewer files none would be loaded
        (tmp_path / "damaged" / f"{number}.png").write_bytes(b"x")
    assert load_images(tmp_path / "damaged", db).problems == 21
    with pytest.raises(ps.InputError, match="no image could be read; the table image_problems"):
        vision.embed(db, "ViT-B-32", "openai")


@pytest.mark.parametrize("files", [1, 3])
def test_files_of_which_none_is_a_picture_are_refused(files: int, tmp_path: Path, db: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(files):
        (tmp_path / "texts" / f"{number}.txt").write_text("no picture")
    source = tmp_path / "texts" if files > 1 else tmp_path / "texts" / "0.txt"
    with pytest.raises(ps.InputError, match=r"be used as a picture.*0\.txt.*nothing was loaded"):
        load_images(source, db)
    assert not db.exists()


def test_no_labels_for_a_column_that_is_misspelt(pictures: Path, db: Path) -> None:
    frame = pl.DataFrame(ROWS)
    for option, name in (("label", "clas"), ("split", "parts")):
        with pytest.raises(ps.InputError, match=rf"no column '{name}' .--{option}.* mean"):
            load_images(frame, db, root=pictures, **{**NAMES, option: name})
