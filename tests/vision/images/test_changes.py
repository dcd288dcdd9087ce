"""Files that changed, or are gone, since they were loaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import prime_sql as ps
from prime_sql.vision import changes, load_images
from tests.vision.images.listing import BROKEN, content_of, labels, problems, query, write
from tests.vision.images.test_again import TABLES, kept, with_results

NAMES = ["cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png", "dog/e.png"]
LONG_AGO = 1_000_000_000  # seconds: no clock's tick is that long


@pytest.fixture
def loaded(folder: Path, db: Path) -> Path:
    """A database of five images with results, whose files are old."""
    for name in NAMES:
        os.utime(write(folder, name) / name, (LONG_AGO, LONG_AGO))
    load_images(folder, db)
    with_results(db)
    return db


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for their SHA-256."""
    paths: list[str] = []
    digest = changes._digest

    def noted(suspect: Any) -> str | None:
        paths.append(suspect.image_id)
        return digest(suspect)

    monkeypatch.setattr(changes, "_digest", noted)
    return paths


def everything(db: Path) -> dict[str, Any]:
    with duckdb.connect(db) as con:
        names = con.sql("select table_name from duckdb_tables()").fetchall()
        return {name: sorted(map(str, con.sql(f'from "{name}"').fetchall())) for (name,) in names}


def change(db: Path, statement: str) -> None:
    with duckdb.connect(db) as con:
        con.execute(statement)


# Changed ------------------------------------------------------------------------------------------


def test_unchanged_files_are_not_read(folder: Path, loaded: Path, hashed: list[str]) -> None:
    before = everything(loaded)
    done = load_images(folder, loaded)
    assert (done.images, done.changed, done.gone, done.note) == (0, 0, 0, "")
    assert hashed == []
    assert everything(loaded) == before


def test_a_changed_file_is_read_again_and_its_results_go(
    folder: Path, loaded: Path, hashed: list[str]
) -> None:
    (folder / "cat/b.png").write_bytes(content_of("other"))
    os.utime(folder / "dog/c.png", (LONG_AGO, LONG_AGO + 1))  # touched, no more
    done = load_images(folder, loaded)
    assert (done.images, done.changed) == (1, 1)
    assert sorted(hashed) == ["cat/b.png", "dog/c.png"]
    assert done.note == (
        "1 image had changed; removed what was computed from it, for the next embed, tag and "
        "predict to compute again: 1 row of embeddings, 1 row of other embeddings, "
        "1 row of predictions, 1 row of tags."
    )
    assert kept(loaded) == {table: {*NAMES} - {"cat/b.png"} for table in TABLES}
    # Nobody else's results.
    assert query(loaded, "select count(*) from tags where tagger <> 'm'") == [(5,)]
    hashed.clear()
    assert load_images(folder, loaded).images == 0
    assert "dog/c.png" not in hashed  # its new time is known now


@pytest.mark.parametrize("same", ["size", "time", "size and time"])
def test_size_or_time_is_enough_to_look(same: str, folder: Path, loaded: Path) -> None:
    """Both the same is what nobody can notice without reading every file again."""
    file = folder / "cat/a.png"
    size = file.stat().st_size
    content = content_of("other")
    content += bytes(size - len(content)) if len(content) < size else b""
    file.write_bytes(content if "size" in same else content + b"more")
    assert (file.stat().st_size == size) == ("size" in same)
    os.utime(file, (LONG_AGO, LONG_AGO if "time" in same else LONG_AGO + 9))
    assert load_images(folder, loaded).changed == (same != "size and time")


def test_a_file_that_no_longer_is_a_picture(folder: Path, loaded: Path) -> None:
    (folder / "cat/a.png").write_bytes(b"")
    (folder / "cat/b.png").write_bytes(BROKEN)
    done = load_images(folder, loaded)
    assert (done.images, done.problems, done.changed) == (0, 2, 2)
    assert problems(loaded) == {
        "cat/a.png": "the file is empty",
        "cat/b.png": "not an image of a known format",
    }
    assert labels(loaded).keys() == {*NAMES[2:]}
    assert kept(loaded) == {table: {*NAMES[2:]} for table in TABLES}


def test_too_recent_a_time_says_nothing(folder: Path, db: Path, hashed: list[str]) -> None:
    """A file written within a tick of the clock may be written again with the same time."""
    file = write(folder, "a.png") / "a.png"
    soon = os.stat(file).st_mtime_ns + 3600 * 10**9  # noqa: PTH116
    os.utime(file, ns=(soon, soon))
    load_images(folder, db)
    assert query(db, "select modified_ns from image_files") == [(None,)]
    load_images(folder, db)
    assert hashed == ["a.png"]
    os.utime(file, (LONG_AGO, LONG_AGO))
    for _ in range(2):
        load_images(folder, db)
    assert hashed == ["a.png"] * 2
    assert query(db, "select modified_ns from image_files") == [(LONG_AGO * 10**9,)]


def test_a_database_without_sizes_and_times(folder: Path, loaded: Path, hashed: list[str]) -> None:
    """As versions before made them: every file is read once, and what changed is noticed."""
    change(loaded, "drop table image_files")
    (folder / "dog/e.png").write_bytes(content_of("other"))
    assert load_images(folder, loaded).changed == 1
    assert sorted(hashed) == NAMES
    hashed.clear()
    load_images(folder, loaded)
    assert set(hashed) <= {"dog/e.png"}  # which is too recent


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_stays(folder: Path, loaded: Path) -> None:
    (folder / "cat/a.png").write_bytes(content_of("other"))
    (folder / "cat/a.png").chmod(0)
    with pytest.warns(ps.InputWarning, match="1 files have another size or time but"):
        assert load_images(folder, loaded).images == 0
    assert kept(loaded) == {table: {*NAMES} for table in TABLES}


def test_a_table_of_files(folder: Path, db: Path) -> None:
    frame = pl.DataFrame({"image_id": NAMES, "uri": [str(write(folder, n) / n) for n in NAMES]})
    load_images(frame, db)
    with_results(db)
    (folder / NAMES[0]).write_bytes(content_of("other"))
    (folder / NAMES[1]).unlink()
    with pytest.warns(ps.InputWarning, match="polars DataFrame: the files of 1 of 5 images are"):
        done = load_images(frame, db)
    assert (done.images, done.changed, done.gone) == (1, 1, 1)
    done = load_images(frame, db, prune=True)
    assert (done.images, done.problems, done.gone) == (0, 1, 1)  # the table still lists it
    assert labels(db).keys() == {*NAMES} - {NAMES[1]}
    assert problems(db) == {NAMES[1]: "there is no such file"}


# Gone ---------------------------------------------------------------------------------------------


def test_what_is_gone_is_told_and_dropped_when_asked(folder: Path, loaded: Path) -> None:
    (folder / "cat/a.png").unlink()
    shutil.rmtree(folder / "cat")
    message = "the files of 2 of 5 images are gone, such as 'cat/a.png'; --prune drops these"
    with pytest.warns(ps.InputWarning, match=message):
        assert load_images(folder, loaded).gone == 2
    assert labels(loaded).keys() == {*NAMES}
    done = load_images(folder, loaded, prune=True)
    assert (done.images, done.gone) == (0, 2)
    # All rows of these images, somebody else's too: there is no such image any more.
    assert done.note == (
        "Dropped 2 images whose files are gone, and what was computed from them: 4 rows of "
        "embeddings, 4 rows of other embeddings, 4 rows of predictions, 4 rows of tags."
    )
    left = {*NAMES[2:]}
    assert labels(loaded).keys() == left
    assert {i for (i,) in query(loaded, "select image_id from image_files")} == left
    for table in TABLES:
        assert {i for (i,) in query(loaded, f'select image_id from "{table}"')} == left
    assert load_images(folder, loaded, prune=True).note == ""


@pytest.mark.parametrize("empty", [False, True])
def test_more_than_half_is_refused(empty: bool, folder: Path, loaded: Path) -> None:
    for name in NAMES if empty else NAMES[:3]:
        (folder / name).unlink()
    before = everything(loaded)
    gone = 5 if empty else 3
    with pytest.raises(
        ps.InputError, match=f"{gone} of 5 images are gone.*a disk not mounted.*-all"
    ):
        load_images(folder, loaded, prune=True)
    assert everything(loaded) == before
    done = load_images(folder, loaded, prune_all=True)
    assert done.gone == gone
    assert labels(loaded).keys() == {*NAMES[gone:]}


def test_half_is_not_more_than_half(folder: Path, db: Path) -> None:
    load_images(write(folder, *NAMES[:4]), db)
    shutil.rmtree(folder / "cat")
    assert load_images(folder, db, prune=True).gone == 2


def test_a_folder_that_is_missing(folder: Path, loaded: Path) -> None:
    before = everything(loaded)
    folder.rename(folder.with_name("moved"))
    for options in ({}, {"prune": True}, {"prune_all": True}):
        with pytest.raises(ps.InputError, match="there is no file or folder"):
            load_images(folder, loaded, **options)
    folder.mkdir()  # such as a disk that is not mounted
    with pytest.raises(ps.InputError, match="there is no file in"):
        load_images(folder, loaded)
    assert everything(loaded) == before


def test_only_what_is_under_the_folder_can_be_gone(
    folder: Path, loaded: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "pictures of others", "x/1.png", "x/2.png", "x/3.png")
    load_images(other, loaded)
    shutil.rmtree(folder / "cat")
    (other / "x/1.png").unlink()
    assert load_images(other, loaded, prune=True).gone == 1
    assert labels(loaded).keys() == {*NAMES, "x/2.png", "x/3.png"}
    # Of a folder in the folder, the same; its files have other image_ids there.
    with pytest.warns(ps.InputWarning, match="3 images have the content"):
        assert load_images(folder / "dog", loaded, prune=True).gone == 0
    assert labels(loaded).keys() >= {*NAMES}
    with pytest.warns(ps.InputWarning, match="3 images have the content"):
        assert load_images(f"{folder}/*/*.png", loaded, prune=True).gone == 2


def test_a_glob_or_one_file_does_not_lose_what_it_does_not_match(
    folder: Path, loaded: Path
) -> None:
    assert load_images(f"{folder}/*/c.png", loaded, prune=True).gone == 0
    for source in (f"{folder}/cat/*.png", folder / "cat/a.png"):
        with pytest.warns(ps.InputWarning, match="content"):  # under another image_id
            assert load_images(source, loaded, prune=True).gone == 0
    assert labels(loaded).keys() >= {*NAMES}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_gone(folder: Path, loaded: Path) -> None:
    (folder / "cat").chmod(0)
    try:
        assert load_images(folder, loaded, prune=True).gone == 0
    finally:
        (folder / "cat").chmod(0o700)


def test_what_was_loaded_through_a_link_goes(folder: Path, db: Path) -> None:
    """As versions before listed a folder that a link leads to: under the wrong class."""
    write(folder, *NAMES)
    (folder / "cat/linked").symlink_to(folder / "dog")
    with pytest.warns(ps.InputWarning, match="reached twice"):
        load_images(folder, db)
    change(db, f"update images set image_id = 'cat/linked/c.png', label = 'cat', "
              f"uri = '{folder}/cat/linked/c.png' where image_id = 'dog/c.png'")  # fmt: skip
    with pytest.warns(ps.InputWarning, match="reached twice"):
        done = load_images(folder, db, prune=True)
    assert (done.images, done.gone) == (1, 1)
    assert labels(db) == {name: (None, name[:3]) for name in NAMES}


# Dry runs -----------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(folder: Path, loaded: Path) -> None:
    write(folder, "new.png")
    (folder / "cat/b.png").write_bytes(content_of("other"))
    os.utime(folder / "dog/c.png", (LONG_AGO, LONG_AGO + 1))
    (folder / "cat/a.png").unlink()
    change(loaded, "drop table image_files")
    before, bytes_before = everything(loaded), loaded.read_bytes()
    done = load_images(folder, loaded, prune=True, dry_run=True)
    assert (done.images, done.changed, done.gone, done.dry_run) == (2, 1, 1, True)
    assert done.note == (
        "Nothing was written. 1 of them has changed. It would drop 1 image whose files are gone."
    )
    assert (everything(loaded), loaded.read_bytes()) == (before, bytes_before)
    done = load_images(folder, loaded, prune=True)
    assert (done.images, done.changed, done.gone, done.dry_run) == (2, 1, 1, False)


def test_a_dry_run_of_what_is_refused(folder: Path, loaded: Path) -> None:
    shutil.rmtree(folder / "dog")
    before = everything(loaded)
    for options, takes in (
        ({"prune": True}, "; this takes --prune-all"),
        ({"prune_all": True}, ""),
    ):
        done = load_images(folder, loaded, dry_run=True, **options)
        assert done.note.endswith(f"It would drop 3 images whose files are gone{takes}.")
    with pytest.warns(ps.InputWarning, match="the files of 3 of 5 images are gone"):
        assert load_images(folder, loaded, dry_run=True).note == "Nothing was written."
    assert everything(loaded) == before


def test_what_had_no_results(folder: Path, db: Path) -> None:
    load_images(write(folder, *NAMES), db)
    (folder / NAMES[0]).write_bytes(content_of("other"))
    (folder / NAMES[1]).unlink()
    assert load_images(folder, db, prune=True).note == (
        "Dropped 1 image whose files are gone.\n1 image had changed."
    )


def test_a_dry_run_makes_no_database(folder: Path, db: Path) -> None:
    done = load_images(write(folder, *NAMES), db, dry_run=True)
    assert (done.images, done.note) == (5, "Nothing was written.")
    assert not db.exists()


# One content --------------------------------------------------------------------------------------


def test_pictures_of_one_content_are_told(folder: Path, db: Path) -> None:
    write(folder, *NAMES)
    shutil.copy(folder / "cat/a.png", folder / "cat/again.png")
    message = r"1 image has the content \(SHA-256\) of another one, such as 'cat/again.png' that of"
    with pytest.warns(ps.InputWarning, match=rf"{message} 'cat/a.png'$"):
        load_images(folder, db)
    shutil.copy(folder / "cat/a.png", folder / "dog/a.png")
    message = "2 images have the content.*'cat/a.png'; 1 of these pictures is under several labels"
    with pytest.warns(ps.InputWarning, match=message):
        load_images(folder, db)
