"""Folders, globs and tables of images become the table ``images``, and nothing is done twice."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

import prime_sql as ps
from prime_sql import vision
from prime_sql.vision import load_images
from prime_sql.vision.steps import CHUNK
from tests.vision.samples import encoded, numbered, plain, write_numbered

BROKEN = b"no picture"


def write(folder: Path, *names: str) -> Path:
    """Write a picture of its own colour for each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(name))
    return folder


def content_of(name: str) -> bytes:
    return numbered(int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]))


def query(path: Any, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path) as con:
        return con.sql(sql).fetchall()


def labels(path: Path) -> dict[str, tuple[str | None, str | None]]:
    """Split and label of each image."""
    rows = query(path, "select image_id, split, label from images")
    found = {image_id: (split, label) for image_id, split, label in rows}
    assert len(found) == len(rows)
    return found


def problems(path: Path) -> dict[str, str]:
    rows = query(path, "select image_id, reason from image_problems where step = 'images'")
    assert len(dict(rows)) == len(rows)
    return dict(rows)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "images.duckdb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


# Folders ------------------------------------------------------------------------------------------


def test_a_row(folder: Path, db: Path) -> None:
    content = encoded("PNG", plain((1, 2, 3), size=(30, 20)))
    write(folder).mkdir()
    (folder / "a.png").write_bytes(content)
    done = load_images(folder, db)
    assert (done.step, done.model, done.table) == ("images", "", "images")
    assert (done.images, done.problems) == (1, 0)
    with duckdb.connect(db) as con:
        rows = con.sql("select * from images").pl().to_dicts()
    assert rows == [
        {
            "image_id": "a.png",
            "uri": str(folder / "a.png"),
            "width": 30,
            "height": 20,
            "split": None,
            "label": None,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]
    assert query(db, "from image_problems") == query(db, "from image_bytes") == []


LAYOUTS = {
    "flat": {"a.png": (None, None), "b.png": (None, None)},
    "label": {"cat/a.png": (None, "cat"), "dog/a.png": (None, "dog")},
    "label, and one beside": {"cat/a.png": (None, "cat"), "a.png": (None, None)},
    "split/label": {
        "train/cat/a.png": ("train", "cat"),
        "train/dog/b.png": ("train", "dog"),
        "val/cat/a.png": ("val", "cat"),
    },
    "split": {"train/a.png": ("train", None), "test/b.png": ("test", None)},
    "split/label, and one beside": {"train/cat/a.png": ("train", "cat"), "x.png": (None, None)},
    "split/label/more": {"test/cat/1/2/a.png": ("test", "cat")},
    "label/more": {"cat/1/a.png": (None, "cat"), "cat/2/a.png": (None, "cat")},
    "a label called test": {"test/a.png": (None, "test"), "best/a.png": (None, "best")},
    "odd names": {
        "it's a\nü 日/q\"q 100%.png": (None, "it's a\nü 日"),
        "[x]*/a;--.png": (None, "[x]*"),
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str, folder: Path, db: Path) -> None:
    expected = LAYOUTS[name]
    load_images(write(folder, *expected), db)
    assert labels(db) == expected
    assert query(db, "select uri from images order by all") == sorted(
        (str(folder / image_id),) for image_id in expected
    )


def test_a_folder_in_another_form(folder: Path, db: Path, monkeypatch: Any) -> None:
    write(folder, "cat/a.png")
    elsewhere = folder.parent / "else/where"
    elsewhere.mkdir(parents=True)
    places = [(folder.parent, "pictures"), (folder.parent, Path("pictures/"))]
    for place, form in [
        *places,
        (folder, "."),
        (elsewhere, "../../pictures"),
        (folder / "cat", ".."),
    ]:
        monkeypatch.chdir(place)
        load_images(form, db)
    assert query(db, "select image_id, uri from images") == [
        ("cat/a.png", str(folder / "cat/a.png"))
    ]


def test_hidden_files_and_folders_are_left_out(folder: Path, db: Path) -> None:
    write(folder, "a.png", ".b.png", ".thumbnails/c.png", "x/.git/d.png")
    load_images(folder, db)
    assert labels(db).keys() == {"a.png"}


def test_links(folder: Path, db: Path, tmp_path: Path) -> None:
    write(folder, "cat/a.png")
    write(tmp_path / "elsewhere", "b.png")
    (folder / "cat/loop").symlink_to(folder)
    (folder / "dog").symlink_to(tmp_path / "elsewhere")
    (folder / "cat/c.png").symlink_to(folder / "cat/a.png")
    load_images(folder, db)
    assert labels(db) == {
        "cat/a.png": (None, "cat"),
        "cat/c.png": (None, "cat"),
        "dog/b.png": (None, "dog"),
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(folder: Path, db: Path) -> None:
    write(folder, "a.png", "secret/b.png")
    (folder / "secret").chmod(0)
    try:
        done = load_images(folder, db)
    finally:
        (folder / "secret").chmod(0o700)
    assert (done.images, problems(db)) == (1, {"secret": "no permission to read this folder"})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*/*.png", {"cat/a.png": (None, "cat"), "dog/b.png": (None, "dog")}),
        ("**/*.jpg", {"cat/deep/c.jpg": (None, "cat"), "d.jpg": (None, None)}),
        ("cat/*.png", {"a.png": (None, None)}),
        ("cat/deep/c.*", {"c.jpg": (None, None)}),
        ("*", {"d.jpg": (None, None)}),
        ("d.jp[g]", {"d.jpg": (None, None)}),
        ("d.jpg", {"d.jpg": (None, None)}),
    ],
)
def test_globs(pattern: str, expected: dict[str, Any], folder: Path, db: Path) -> None:
    write(folder, "cat/a.png", "dog/b.png", "cat/deep/c.jpg", "d.jpg")
    load_images(f"{folder}/{pattern}", db)
    assert labels(db) == expected


def test_a_relative_glob(folder: Path, db: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(write(folder, "cat/a.png"))
    load_images("*/a.png", db)
    assert query(db, "select image_id, uri, label from images") == [
        ("cat/a.png", str(folder / "cat/a.png"), "cat")
    ]


def test_more_than_a_chunk(folder: Path, db: Path) -> None:
    write_numbered(folder, CHUNK + 20)
    (folder / "00003.png").write_bytes(BROKEN)
    (folder / f"{CHUNK + 3:05}.png").write_bytes(BROKEN)
    seen = []
    done = load_images(folder, db, on_images=seen.append)
    assert (done.images, done.problems) == (CHUNK + 18, 2)
    assert len(labels(db)) == CHUNK + 18
    assert problems(db).keys() == {"00003.png", f"{CHUNK + 3:05}.png"}
    counts = [progress.done for progress in seen]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, CHUNK + 20)
    assert {(p.step, p.total) for p in seen} == {("images", CHUNK + 20)}


# Tables -------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(folder: Path) -> Path:
    return write(folder, "a.png", "b.png", "sub/c d.png")


ROWS = [
    {"key": "007", "where": "a.png", "class": "1", "part": "train"},
    {"key": "1e3", "where": "b.png", "class": "01", "part": "test"},
    {"key": "x", "where": "sub/c d.png", "class": None, "part": None},
]
NAMES = {"image_id": "key", "uri": "where", "label": "class", "split": "part"}
EXPECTED = {"007": ("train", "1"), "1e3": ("test", "01"), "x": (None, None)}


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    frame = pl.DataFrame(rows)
    path.parent.mkdir(exist_ok=True)
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[
        path.suffix
    ](path)
    return path


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

BYTES = [content_of("a"), content_of("b"), BROKEN]


def byte_forms(tmp_path: Path) -> dict[str, Any]:
    plain_ = {"image_id": [1, 2, 3], "label": ["x", "y", "y"], "bytes": BYTES}
    structs = [{"bytes": content, "path": None} for content in BYTES]
    of_structs = {**{k: v for k, v in plain_.items() if k != "bytes"}, "image": structs}
    pl.DataFrame(plain_).write_parquet(tmp_path / "1.parquet")
    pa.parquet.write_table(pa.table(of_structs), tmp_path / "2.parquet")
    return {
        "polars": pl.DataFrame(plain_),
        "pandas": pd.DataFrame(plain_),
        "arrow": pa.table(plain_),
        "large": pa.table({**plain_, "bytes": pa.array(BYTES, pa.large_binary())}),
        "parquet": tmp_path / "1.parquet",
        "structs": pl.DataFrame(of_structs),
        "structs in parquet": str(tmp_path / "2.parquet"),
    }


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
    (tmp_path / "damaged" / "a.png").write_bytes(b"x")
    assert load_images(tmp_path / "damaged", db).problems == 1
    with pytest.raises(ps.InputError, match="no image could be read; the table image_problems"):
        vision.embed(db, "ViT-B-32", "openai")


def test_no_labels_for_a_column_that_is_misspelt(pictures: Path, db: Path) -> None:
    frame = pl.DataFrame(ROWS)
    for option, name in (("label", "clas"), ("split", "parts")):
        with pytest.raises(ps.InputError, match=rf"no column '{name}' .--{option}.* mean"):
            load_images(frame, db, root=pictures, **{**NAMES, option: name})


# Again --------------------------------------------------------------------------------------------


def test_nothing_is_done_twice(folder: Path, db: Path) -> None:
    write(folder, "a.png", "b.png")
    (folder / "bad.png").write_bytes(BROKEN)
    assert (load_images(folder, db).images, problems(db).keys()) == (2, {"bad.png"})
    done = load_images(folder, db)
    assert (done.images, done.problems) == (0, 1)
    assert (len(labels(db)), problems(db).keys()) == (2, {"bad.png"})

    write(folder, "new.png")
    (folder / "new.bad").write_bytes(BROKEN)
    done = load_images(folder, db)
    assert (done.images, done.problems) == (1, 2)
    assert labels(db).keys() == {"a.png", "b.png", "new.png"}
    assert problems(db).keys() == {"bad.png", "new.bad"}

    write(folder, "bad.png")
    done = load_images(folder, db)
    assert (done.images, done.problems) == (1, 1)
    assert labels(db).keys() == {"a.png", "b.png", "new.png", "bad.png"}
    assert problems(db).keys() == {"new.bad"}


def test_two_folders_in_one_database(folder: Path, db: Path, tmp_path: Path) -> None:
    load_images(write(folder, "cat/a.png"), db)
    load_images(write(tmp_path / "more", "cat/b.png"), db)
    assert labels(db).keys() == {"cat/a.png", "cat/b.png"}


def test_another_image_of_the_same_id(folder: Path, db: Path, tmp_path: Path) -> None:
    load_images(write(folder, "cat/a.png", "cat/b.png"), db)
    other = write(tmp_path / "other", "cat/a.png", "cat/c.png")
    with pytest.raises(ps.InputError, match=r"other images of the same image_id, 1 .*'cat/a.png'"):
        load_images(other, db)
    assert labels(db).keys() == {"cat/a.png", "cat/b.png"}
    assert load_images(other, db, replace=True).images == 2
    assert dict(query(db, "select image_id, uri from images")) == {
        "cat/a.png": str(other / "cat/a.png"),
        "cat/b.png": str(folder / "cat/b.png"),
        "cat/c.png": str(other / "cat/c.png"),
    }


def test_other_bytes_of_the_same_id(db: Path) -> None:
    one, other = (pl.DataFrame({"image_id": [1], "bytes": [content]}) for content in BYTES[:2])
    load_images(one, db)
    assert load_images(one, db).images == 0
    with pytest.raises(ps.InputError, match="such as '1'"):
        load_images(other, db)
    load_images(other, db, replace=True)
    assert query(db, "from image_bytes") == [("1", BYTES[1])]


RESULTS = """
create table {name} (image_id varchar, {column} varchar);
insert into {name} select image_id, 'm' from images;
insert into {name} select image_id, 'of somebody else' from images;
insert into model_settings values ('{step}', '{name}', 'm', '{{}}');
"""


def with_results(db: Path) -> None:
    """As if steps had filled their tables; rows of no model's settings are not ours."""
    with duckdb.connect(db) as con:
        for step, name, column in [
            ("embed", "embeddings", "model"),
            ("embed", "other embeddings", "model"),
            ("predict", "predictions", "model"),
            ("tag", "tags", "tagger"),
        ]:
            con.execute(RESULTS.format(step=step, name=f'"{name}"', column=column).replace(
                f"""'"{name}"'""", f"'{name}'"))  # fmt: skip
        con.execute("create table tagged_images as select image_id, 'm' as tagger from images")


TABLES = ["embeddings", "other embeddings", "predictions", "tags", "tagged_images"]


def kept(db: Path) -> dict[str, set[str]]:
    """Of which images each table has results of the model."""
    columns = {"tags": "tagger", "tagged_images": "tagger"}
    return {
        table: {
            i
            for (i,) in query(
                db, f"select image_id from \"{table}\" where {columns.get(table, 'model')} = 'm'"
            )
        }
        for table in TABLES
    }


def test_replace(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png", "b.png", "c.png", "d.png"), db)
    with_results(db)
    before = query(db, "from images order by image_id")
    (folder / "b.png").write_bytes(content_of("other"))
    (folder / "c.png").write_bytes(BROKEN)
    (folder / "d.png").unlink()
    assert load_images(folder, db).images == 0  # without replace, as it was
    assert query(db, "from images order by image_id") == before

    done = load_images(folder, db, replace=True)
    assert (done.images, done.problems) == (2, 1)
    assert labels(db).keys() == {"a.png", "b.png", "d.png"}  # d is not listed: left as it was
    assert problems(db).keys() == {"c.png"}
    assert kept(db) == {table: {"a.png", "d.png"} for table in TABLES}
    rows = "select count(*) from predictions where model = 'of somebody else'"
    assert query(db, rows) == [(4,)]
    sha = dict(query(db, "select image_id, sha256 from images"))["b.png"]
    assert sha == hashlib.sha256(content_of("other")).hexdigest()


def test_replace_the_label(pictures: Path, db: Path) -> None:
    frame = pl.DataFrame(ROWS)
    load_images(frame, db, root=pictures, **NAMES)
    with_results(db)
    changed = frame.with_columns(pl.Series("class", ["1", "2", None]))
    assert load_images(changed, db, root=pictures, **NAMES).images == 0
    assert labels(db) == EXPECTED
    assert load_images(changed, db, root=pictures, replace=True, **NAMES).images == 3
    assert labels(db)["1e3"] == ("test", "2")
    assert kept(db) == {table: {"007", "x"} for table in TABLES}


def test_replace_bytes(db: Path) -> None:
    frame = pl.DataFrame({"image_id": ["a", "b"], "bytes": BYTES[:2]})
    load_images(frame, db)
    with_results(db)
    changed = frame.with_columns(pl.Series("bytes", [BYTES[0], content_of("new")]))
    load_images(changed, db, replace=True)
    assert dict(query(db, "from image_bytes")) == {"a": BYTES[0], "b": content_of("new")}
    assert kept(db) == {table: {"a"} for table in TABLES}


def test_replace_after_a_table_was_dropped(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png"), db)
    with_results(db)
    with duckdb.connect(db) as con:
        con.execute("drop table predictions")
    (folder / "a.png").write_bytes(content_of("other"))
    assert load_images(folder, db, replace=True).images == 1


# The database -------------------------------------------------------------------------------------


def dump(db: Path) -> dict[str, Any]:
    with duckdb.connect(db) as con:
        names = [name for (name,) in con.sql("select table_name from duckdb_tables()").fetchall()]
        return {name: con.sql(f'from "{name}"').fetchall() for name in names}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("create table images as select 'a' as image_id, 'x.png' as file", "without .* 'uri'"),
        ("create table images as select 'a' as id", "without the column 'image_id'; rename it"),
        (
            "create table images (image_id integer, uri varchar, width integer, height integer, "
            "split varchar, label varchar, sha256 varchar)",
            "whose image_id is INTEGER",
        ),
        ("create view images as select 'a' as image_id", "without the column 'uri'"),
    ],
)
def test_an_images_table_of_the_users_own(
    statement: str, message: str, folder: Path, db: Path
) -> None:
    with duckdb.connect(db) as con:
        con.execute(statement)
    before = dump(db)
    with pytest.raises(ps.InputError, match=message):
        load_images(write(folder, "a.png"), db)
    assert dump(db) == before


def test_other_tables_of_the_users_own(folder: Path, db: Path) -> None:
    """The names of the session's own tables are free for the user's."""
    names = ["listed", "to_do", "outputs", "problems", "changed", "chunk_1", "chunk_513"]
    names.append("source_images_rows")
    with duckdb.connect(db) as con:
        for name in names:
            con.execute(f"create table {name} as select 42 as answer")
    load_images(write(folder, "a.png"), db)
    frame = pl.DataFrame({"uri": [str(write(folder, "b.png") / "b.png")]})
    load_images(frame, db)
    found = dump(db)
    assert {name: found[name] for name in names} == {name: [(42,)] for name in names}
    assert len(found["images"]) == 2


def test_an_ibis_connection(folder: Path) -> None:
    connection = ibis.duckdb.connect()
    load_images(write(folder, "a.png"), connection)
    assert connection.table("images").image_id.to_pyarrow().to_pylist() == ["a.png"]
    assert sorted(connection.list_tables()) == [
        "image_bytes",
        "image_problems",
        "images",
        "model_settings",
    ]


def test_a_database_that_cannot_keep_them(folder: Path, db: Path) -> None:
    write(folder, "a.png")
    for nowhere in (None, ":memory:"):
        with pytest.raises(ps.InputError, match="a database that stays"):
            load_images(folder, nowhere)
    load_images(folder, db)
    connection = ibis.duckdb.connect(db, read_only=True)
    with pytest.raises(ps.WarehouseError, match="for reading only"):
        load_images(folder, connection)
    connection.disconnect()
    with pytest.raises(ps.WarehouseError, match="is not a DuckDB database"):
        load_images(folder, folder / "a.png")
    with pytest.raises(ps.WarehouseError, match="does not exist; make it first"):
        load_images(folder, folder / "nowhere" / "a.duckdb")


def test_nothing_is_left_in_the_folder_of_the_database(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png"), db)
    assert {path.name for path in db.parent.iterdir()} == {db.name, folder.name}


def test_the_tables_say_what_they_hold(folder: Path, db: Path) -> None:
    load_images(write(folder, "a.png"), db)
    missing = "select table_name, column_name from duckdb_columns() where comment is null"
    assert query(db, missing + " and database_name = current_database()") == []
    assert not re.search("null", str(query(db, "select comment from duckdb_tables()")), re.I)
