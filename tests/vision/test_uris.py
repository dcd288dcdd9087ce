"""Where pictures may be."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from prime_sql.vision.pictures import (
    MAX_BYTES,
    PictureError,
    read,
)
from tests.vision.pixels import PNG

NAMES = [
    "a b",
    "it's",
    'q"q',
    "ü 日 🙂",
    "a\nb",
    "100%",
    "%41",
    "a#b?c",
    "a:b",
    "[x]*",
    "{x}",
    "a\\b",
]


@pytest.mark.parametrize("name", [*NAMES, "data:x", ";--"])
def test_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.png"
    path.write_bytes(PNG)
    assert read(str(path)) == PNG
    assert read(path.as_uri()) == PNG


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(PNG)
    assert read(path.as_uri()) == PNG


def test_inline() -> None:
    text = base64.b64encode(PNG).decode()
    assert read(f"data:image/png;base64,{text}") == PNG
    assert read(f"DATA:;base64,{text}") == PNG
    assert read(f"data:;base64,{text[:76]}\r\n{text[76:]}\n") == PNG
    assert read("data:,a%20b") == b"a b"


def test_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://samples/a b.png", "wb") as file:
        file.write(PNG)
    assert read("memory://samples/a b.png") == PNG
    with pytest.raises(PictureError, match="there is no such file"):
        read("memory://samples/other.png")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("missing.png", "^there is no such file$"),
        ("/no/such/folder/a.png", "^there is no such file$"),
        ("file:///no/such/a.png", "^there is no such file$"),
        (".", "^it is a folder$"),
        (os.devnull, "^it is a pipe or a device$"),
        ("a\0b", "^cannot be read: "),
        ("x" * 5000, "^cannot be read: "),
        ("", "^its name is empty$"),
        ("nosuch://bucket/a.png", "^cannot be read: .*nosuch"),
        ("data:image/png;base64", "^a data URI without a comma$"),
        ("data:;base64,?", "^a data URI that is not base64$"),
        ("data:,", "^the file is empty$"),
    ],
)
def test_what_cannot_be_read(uri: str, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        read(uri)


def test_a_film_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: it takes no place on the disk
    with pytest.raises(PictureError, match=r"too large: 1,073,741,825 bytes"):
        read(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with pytest.raises(PictureError, match="no permission"):
        read(str(path))
