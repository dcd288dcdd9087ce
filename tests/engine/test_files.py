"""Files of rows: written whole, together, or not at all."""

import json
import os
import subprocess

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prime_sql.engine import files as files_module
from prime_sql.engine.errors import OptionError, WarehouseError
from prime_sql.engine.files import Files, check_file, write, write_text


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
    write(frame, check_file(path))
    assert_frame_equal(read(path), frame, check_dtypes=False)
    assert [other.name for other in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "name", ["rows.xlsx", "rows", ".parquet", "missing/rows.csv", "folder.csv"]
)
def test_files_that_cannot_be_written_are_refused_beforehand(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OptionError, match="cannot write"):
        check_file(tmp_path / name)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.json"])
def test_on_a_full_disk_the_file_that_was_there_stays(small_disk, name):
    path = small_disk / name
    path.write_text("before")
    rows = pl.DataFrame({"image_id": [f"{number * 7919 % 1_000_003:x}" for number in range(10**6)]})
    with pytest.raises(WarehouseError, match=f"cannot write .*{name}: .*No space left on device"):
        write(rows, path)
    assert path.read_text() == "before"
    assert [other.name for other in small_disk.iterdir()] == [name]


def test_files_that_belong_together_appear_together(tmp_path, small_disk):
    first, last = tmp_path / "report.html", small_disk / "rows.csv"
    first.write_text("before")
    with Files() as files:
        files.write("after", first)
        assert first.read_text() == "before"
        with pytest.raises(WarehouseError, match="No space left on device"):
            files.write("x" * 2**21, last)
    assert first.read_text() == "before"
    assert [*tmp_path.iterdir(), *small_disk.iterdir()] == [first]
    with Files() as files:
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
        with Files() as files:
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

    monkeypatch.setattr(files_module.os, "link", no_links)
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("before")
    with pytest.raises(KeyError), Files() as files:  # noqa: PT012
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
    write_text("after", link)
    assert link.is_symlink()
    assert file.read_text() == "after"
    assert file.stat().st_mode & 0o777 == 0o604


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "report.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text("after", pipe)
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
    write_text("whole", tmp_path / "rows.csv")
    assert sorted(tmp_path.iterdir()) == [busy, tmp_path / "rows.csv"]
