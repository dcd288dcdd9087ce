"""Images in folders."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

import prime_sql as ps
from prime_sql.vision import load_images
from prime_sql.vision.steps import CHUNK
from tests.vision.images.listing import BROKEN, labels, problems, query, write
from tests.vision.samples import encoded, plain, write_numbered


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


def test_hidden_files_and_folders_are_left_out_and_counted(folder: Path, db: Path) -> None:
    write(folder, "a.png", ".b.png", ".thumbnails/c.png", "x/.git/d.png", ".DS_Store")
    left_out = "3 hidden files and folders were left out, such as '.b.png'"
    with pytest.warns(ps.InputWarning, match=left_out):
        load_images(folder, db)
    assert labels(db).keys() == {"a.png"}
    with pytest.warns(ps.InputWarning, match=r"1 hidden file or folder was left out.*'.b.png'"):
        load_images(f"{folder}/*.png", db)


def test_links(folder: Path, db: Path, tmp_path: Path) -> None:
    write(folder, "cat/a.png")
    write(tmp_path / "elsewhere", "b.png")
    (folder / "cat/loop").symlink_to(folder)
    (folder / "dog").symlink_to(tmp_path / "elsewhere")
    (folder / "cat/c.png").symlink_to(folder / "cat/a.png")
    with pytest.warns(ps.InputWarning) as told:
        load_images(folder, db)
    twice, same = (str(w.message) for w in told if w.category is ps.InputWarning)
    assert "2 files are reached twice, as 'cat/loop' leads to '.'; each" in twice
    assert "1 image has the content (SHA-256) of another one, such as 'cat/c.png' that of" in same
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


# Links to folders ---------------------------------------------------------------------------------


def test_a_link_in_one_class_to_another_class_relabels_nothing(folder: Path, db: Path) -> None:
    """The link comes first by name, and a class must not vanish for it."""
    write(folder, "cat/a.png", "dog/b.png", "dog/more/c.png")
    (folder / "cat/linked").symlink_to(folder / "dog")
    (folder / "ant").mkdir()
    (folder / "ant/deep").symlink_to(folder / "dog/more")
    expected = {
        "cat/a.png": (None, "cat"),
        "dog/b.png": (None, "dog"),
        "dog/more/c.png": (None, "dog"),
    }
    for source in (folder, f"{folder}/**/*.png"):
        with pytest.warns(
            ps.InputWarning, match=r"2 files are reached twice, as .* leads to .*dog"
        ):
            load_images(source, db)
        assert labels(db) == expected


def test_a_folder_elsewhere_counts_at_the_nearest_link(
    folder: Path, db: Path, tmp_path: Path
) -> None:
    write(tmp_path / "elsewhere", "b.png", "c.png")
    write(folder, "a/b/x.png")
    (folder / "a/b/linked").symlink_to(tmp_path / "elsewhere")
    (folder / "z").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(
        ps.InputWarning, match="2 files are reached twice, as 'a/b/linked' leads to 'z'"
    ):
        load_images(folder, db)
    assert labels(db).keys() == {"a/b/x.png", "z/b.png", "z/c.png"}


def test_links_to_empty_folders_and_to_themselves_are_not_worth_a_word(
    folder: Path, db: Path
) -> None:
    write(folder, "a.png")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(folder / "empty")
    (folder / "self.png").symlink_to(folder / "self.png")
    assert load_images(folder, db).problems == 1
    assert labels(db).keys() == {"a.png"}
