"""A folder with good tables, a good database, and one of everything that is none."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import prime_sql as ps
from tests import tables as data

JOB = """
db = "new.duckdb"

[sources]
predictions = "predictions.parquet"
tags = "tags.parquet"

[options]
min_images = 4
max_tags = 2

[validation]
split = "split"
find = "test"
check = "train"

[chance]
shuffles = 1

[joins.orders]
source = "orders.csv"

[[outputs]]
report = "report.html"

[[outputs]]
file = "modes.csv"

[gates]
fail_on = ["images > 1000"]
"""

MODEL = """
import pyarrow as pa


def classify(pictures):
    return ["cat" for _ in pictures]
"""

# What stands for each kind of file that cannot be read, by the ending that it has.
BROKEN = {
    "empty": b"",
    "text": b"this is a text, not a table\nand has a second line, too\n",
    "null": b"\0\xff\xfe" * 50,
}


def make(folder: Path) -> None:
    """Fill a folder."""
    for ending in ("parquet", "csv"):
        data.write(data.PREDICTIONS, folder / f"predictions.{ending}")
        data.write(data.TAGS, folder / f"tags.{ending}")
    orders = [{"image_id": row["image_id"], "value": 1} for row in data.PREDICTIONS]
    data.write(orders, folder / "orders.csv")
    words = [{"text": "cat"}, {"text": "dog"}]
    data.write(words, folder / "words.csv")
    for drop in (0.3, 0.47):
        data.search(into=folder / "runs.duckdb", min_drop=drop).close()
    _pictures(folder)
    (folder / "classify.py").write_text(MODEL)
    (folder / "prime.toml").write_text(JOB)
    whole = (folder / "runs.duckdb").read_bytes()
    (folder / "cut.duckdb").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.duckdb").write_bytes(whole[:4200] + b"\xaa" * 300 + whole[4500:])
    table = (folder / "tags.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(table[: len(table) // 2])
    (folder / "cut.json").write_text('{"image_id": "a", "label": ')
    for name, content in BROKEN.items():
        for ending in ("duckdb", "parquet", "json", "sql", "toml", "txt"):
            (folder / f"{name}.{ending}").write_bytes(content)
    (folder / "empty.csv").write_bytes(b"")
    (folder / "null.csv").write_bytes(BROKEN["null"])
    (folder / "a folder").mkdir()
    for ending in ("", ".duckdb", ".parquet", ".csv", ".toml", ".sql"):
        (folder / f"circle{ending}").symlink_to(f"circle{ending}")
        (folder / f"folder{ending}").mkdir()
        if hasattr(os, "mkfifo"):
            os.mkfifo(folder / f"pipe{ending}")


def _pictures(folder: Path) -> None:
    from PIL import Image

    (folder / "photos").mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 90, 160)).save(folder / "photos" / f"{number}.png")
    from prime_sql import vision

    vision.load_images(folder / "photos", folder / "images.duckdb")


def copy(world: Path, folder: Path) -> None:
    """Make a folder as `world` is."""
    for path in sorted(world.rglob("*")):
        place = folder / path.relative_to(world)
        if path.is_symlink():
            place.symlink_to(path.readlink())
        elif path.is_dir():
            place.mkdir()
        elif path.is_file():
            shutil.copy(path, place)
        else:
            os.mkfifo(place)


class Kept:
    """Tells whether a folder is as it was: nothing more in it, nothing less, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = self._look()

    def _look(self) -> dict[str, str]:
        return {
            str(path.relative_to(self._folder)): self._digest(path)
            for path in sorted(self._folder.rglob("*"))
            if path.name != "__pycache__" and path.parent.name != "__pycache__"
        }

    def _digest(self, path: Path) -> str:
        if path.is_symlink() or not path.is_file():
            return oct(path.lstat().st_mode)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def changes(self) -> list[str]:
        """Return the names of what is new, gone or has another content."""
        now = self._look()
        names = sorted({*now, *self._before})
        return [name for name in names if now.get(name) != self._before.get(name)]


def mode_id(folder: Path) -> str:
    """Return a failure mode of the latest run."""
    with ps.open_run(folder / "runs.duckdb") as run:
        return str(run.failure_modes.to_polars()["mode_id"][0])
