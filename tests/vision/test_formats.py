"""HEIC, JPEG XL and camera RAW: named with what to install, and read where that is installed."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prime_sql as ps
from prime_sql.vision import formats, load_images
from prime_sql.vision.pictures import PictureError, decode, upright_size
from tests.vision.images.listing import problems
from tests.vision.samples import corners, encoded, image, picture, plain

RAW = "camera RAW"


def ftyp(*brands: bytes) -> bytes:
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(box) + 4).to_bytes(4) + box + bytes(200)


def tiff(**tags: Any) -> bytes:
    info = importlib.import_module("PIL.TiffImagePlugin").ImageFileDirectory_v2()
    for name, value in tags.items():
        number = int(name.removeprefix("t"))
        info[number] = value
        if isinstance(value, bytes):
            info.tagtype[number] = 1
    return encoded("TIFF", tiffinfo=info)


KINDS = {
    "heic": (ftyp(b"heic", b"mif1", b"heic"), "HEIC"),
    "heif of unknown coding": (ftyp(b"mif1", b"mif1"), "HEIC"),
    "hevc in a heif": (ftyp(b"mif1", b"mif1", b"heic"), "HEIC"),
    "a sequence": (ftyp(b"hevc", b"msf1"), "HEIC"),
    "jpeg xl": (b"\xff\x0a\x00\x10", "JPEG XL"),
    "jpeg xl in a box": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "JPEG XL"),
    "cr2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), RAW),
    "cr3": (ftyp(b"crx ", b"crx ", b"isom"), RAW),
    "raf": (b"FUJIFILMCCD-RAW 0201" + bytes(99), RAW),
    "orf": (b"IIRO\x08\0\0\0" + bytes(99), RAW),
    "rw2": (b"IIU\0\x18\0\0\0" + bytes(99), RAW),
    "dng": (tiff(t50706=b"\1\4\0\0"), RAW),
    "nef": (tiff(t254=1, t330=8), RAW),
    "a sensor's": (b"MM\0*\0\0\0\x08\0\1\1\x06\0\3\0\0\0\1\x80\x23\0\0" + bytes(9), RAW),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content, kind = KINDS[name]
    module, package = formats.PACKAGES[kind]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PictureError, match=rf"^{kind}, .*: pip install {package}$"):
        decode(content)


@pytest.mark.parametrize(
    "content",
    [
        encoded("AVIF"),
        encoded("TIFF"),
        tiff(t254=0, t330=8),
        encoded("TIFF", save_all=True, append_images=[plain(3, "L")]),
    ],
    ids=["avif", "tiff", "a tiff with others", "a tiff of pages"],
)
def test_what_pillow_reads(content: bytes) -> None:
    assert formats.kind_of(content) is None
    assert decode(content).size == picture().size


def test_images_says_what_to_install(
    tmp_path: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, _ in formats.PACKAGES.values():
        monkeypatch.setitem(sys.modules, module, None)
    for name in ("heic", "a sequence", "jpeg xl", "cr3"):
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(KINDS[name][0])
    (tmp_path / "photos/a.png").write_bytes(encoded("PNG"))
    with pytest.warns(ps.InputWarning) as told:
        load_images(tmp_path / "photos", db)
    said = [str(w.message).partition(": ")[2] for w in told if w.category is ps.InputWarning]
    assert said == [
        "2 images are HEIC, which needs another package: pip install pillow-heif",
        "1 image is JPEG XL, which needs another package: pip install pillow-jxl-plugin",
        "1 image is camera RAW, which needs another package: pip install rawpy",
    ]
    assert len(problems(db)) == 4


# With the packages --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [("HEIC", "HEIF"), ("JPEG XL", "JXL")])
def test_read(kind: str, name: str) -> None:
    package: Any = pytest.importorskip(formats.PACKAGES[kind][0])
    if kind == "HEIC":
        package.register_heif_opener()
    wide = image.fromarray(corners(96, 64))
    options = {"quality": -1} if name == "HEIF" else {"lossless": True}
    content = encoded(name, wide, **options)
    assert formats.kind_of(content) == kind
    found = np.asarray(decode(content)).astype(int)
    assert abs(found - np.asarray(wide).astype(int)).mean() < 3
    assert upright_size(content) == (96, 64)
    with pytest.raises(PictureError, match=r"damaged|truncated|^begins like"):
        decode(content[: len(content) // 2])


def test_read_raw() -> None:
    pytest.importorskip("rawpy")
    tifffile = pytest.importorskip("tifffile")
    # A sensor of red, green, green and blue, on which only green light fell.
    sensor = np.zeros((64, 96), np.uint16)
    sensor[0::2, 1::2] = sensor[1::2, 0::2] = 30_000
    file = io.BytesIO()
    ones = [1, 1] * 3
    matrix = [v for row in np.eye(3, dtype=int) for n in row for v in (int(n), 1)]
    tifffile.imwrite(
        file,
        sensor,
        photometric=32803,
        extratags=[
            (33421, 3, 2, (2, 2), True),
            (33422, 1, 4, bytes([0, 1, 1, 2]), True),
            (50706, 1, 4, bytes([1, 4, 0, 0]), True),
            (50708, 2, 5, "None", True),
            (50714, 3, 1, 0, True),
            (50717, 3, 1, 65535, True),
            (50721, 10, 9, matrix, True),
            (50728, 5, 3, ones, True),
        ],
    )
    found = np.asarray(decode(file.getvalue()))
    assert found.shape[2] == 3
    red, green, blue = found.reshape(-1, 3).mean(axis=0)
    assert green > red
    assert green > blue
    assert upright_size(file.getvalue()) == found.shape[1::-1]
