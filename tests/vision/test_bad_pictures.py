"""Files that cannot be used, each with its reason, in a folder too."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import duckdb
import numpy as np
import pytest

import prime_sql as ps
from prime_sql.vision import formats, load_images
from prime_sql.vision.pictures import (
    MAX_BYTES,
    MAX_PIXELS,
    PictureError,
    decode,
    read,
    upright_size,
)
from tests.vision.bad_pictures import BAD, NOISE
from tests.vision.pixels import GOOD, PNG
from tests.vision.samples import (
    encoded,
    exif,
)


@pytest.fixture(autouse=True)
def pillow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages for other formats, whatever is installed."""
    for module, _ in formats.PACKAGES.values():
        monkeypatch.setitem(sys.modules, module, None)


# What cannot be used ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BAD if name != "zero bytes"])
def test_bad(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(PictureError, match=reason):
        decode(content)
    with pytest.raises(PictureError, match=reason):
        upright_size(content)


def test_the_bomb_is_small_before_it_goes_off() -> None:
    assert len(BAD["a bomb"][0]) < 20_000
    assert MAX_PIXELS < 10_000 * 9000


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000"])
def test_a_damaged_file_raises_nothing_else(form: str) -> None:
    random = np.random.default_rng(len(form))
    whole = np.frombuffer(encoded(form, NOISE), np.uint8)
    for _ in range(40):
        content = whole.copy()
        # More often in the first bytes, where sizes and formats are.
        places = (len(whole) * random.random(4) ** 4).astype(int)
        content[places] = random.integers(0, 256, 4)
        try:
            size = decode(content.tobytes()).size
        except PictureError:
            continue
        assert upright_size(content.tobytes()) == size


def test_no_warnings_and_no_filter_lost(tmp_path: Path) -> None:
    # Pillow warns of the first one's tags, and of the second one's size, in worker threads.
    code = """
import sys, warnings, pathlib
from concurrent.futures import ThreadPoolExecutor
from prime_sql.vision.pictures import PictureError, decode
warnings.simplefilter("always")
before = list(warnings.filters)
def work(name):
    try:
        decode(pathlib.Path(name).read_bytes())
    except PictureError:
        pass
with ThreadPoolExecutor(8) as pool:
    list(pool.map(work, sys.argv[1:] * 50))
assert before == [one for one in warnings.filters if "PIL" not in str(one[3])]
"""
    tiff = bytearray(encoded("TIFF", exif=exif(1)))
    tiff[tiff.index(struct.pack("<HH", 0x0112, 3)) + 4] = 99  # a count that runs out of the file
    paths = [tmp_path / "tags.tif", tmp_path / "large.png"]
    paths[0].write_bytes(tiff)
    paths[1].write_bytes(BAD["a small bomb's header"][0])
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# All of them in a folder --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    (folder / "good").mkdir()
    (folder / "bad").mkdir()
    for name, content in GOOD.items():
        (folder / f"good/{name}.jpg").write_bytes(content)  # the name does not matter
    for name, (content, _) in BAD.items():
        (folder / f"bad/{name}.jpg").write_bytes(content)
    (folder / "bad/dangling.jpg").symlink_to(folder / "gone.jpg")
    os.mkfifo(folder / "bad/pipe.jpg")
    with (folder / "bad/film.jpg").open("wb") as film:
        film.truncate(MAX_BYTES + 1)
    return folder


def test_all_at_once(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.duckdb"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ibis 12 calls it by its old name: see prime_sql/duckdb_versions.py.
        warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
        warnings.filterwarnings("ignore", ".* another package: pip install", ps.InputWarning)
        done = load_images(folder, path, threads=4)
    reasons = {name: reason for name, (_, reason) in BAD.items()}
    reasons |= {"dangling": "no such file", "pipe": "a pipe", "film": "too large"}
    assert (done.images, done.problems) == (len(GOOD), len(reasons))
    with duckdb.connect(path) as con:
        sizes = con.sql("select image_id, width, height, label from images").fetchall()
        problems = con.sql("select image_id, uri, step, model, reason from image_problems")
        found = problems.fetchall()
    assert {(i, label) for i, _, _, label in sizes} == {(f"good/{n}.jpg", "good") for n in GOOD}
    expected = {f"good/{name}.jpg": decode(content).size for name, content in GOOD.items()}
    assert {image_id: (width, height) for image_id, width, height, _ in sizes} == expected
    assert sorted(row[0] for row in found) == sorted(f"bad/{name}.jpg" for name in reasons)
    for image_id, uri, step, model, reason in found:
        assert (uri, step, model) == (str(folder / image_id), "images", "")
        assert re.search(reasons[Path(image_id).stem], reason), (image_id, reason)
        assert "\n" not in reason
        assert "Traceback" not in reason


def test_a_name_that_is_not_utf_8_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(PNG)
    path = tmp_path / "names.duckdb"
    assert load_images(folder, path).problems == 0
    with duckdb.connect(path) as con:
        rows = con.sql("select image_id, uri from images").fetchall()
    assert rows == [("caf\\udce9.png", f"{folder.as_uri()}/caf%E9.png")]
    assert read(rows[0][1]) == PNG


def test_errors_are_of_one_family() -> None:
    assert not issubclass(PictureError, ps.PrimeSqlError)  # a reason, which ends no run
