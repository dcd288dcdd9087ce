"""Formats that Pillow alone does not read: known by their bytes, opened if a package is there."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any, Literal

from prime_sql.vision.network import need

if TYPE_CHECKING:
    from PIL import Image

# What is imported for each, and what to install for that.
PACKAGES = {
    "HEIC": ("pillow_heif", "pillow-heif"),
    "JPEG XL": ("pillow_jxl", "pillow-jxl-plugin"),
    "camera RAW": ("rawpy", "rawpy"),
}
_HEVC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_AVIF = {b"avif", b"avis"}
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
# Of Fujifilm, Olympus, Panasonic, Sigma and Minolta, none of which begins as a TIFF does.
_RAW = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
# Tags of TIFF: a picture of reduced size, beside which is the one that was taken; colours of a
# sensor; Adobe's DNG.
_SUBFILE, _COLOURS, _OTHERS, _DNG = 254, 262, 330, 50706
_OF_A_SENSOR = (32803, 34892)


def kind_of(content: bytes) -> str | None:
    """Return the format of a file if it is one of `PACKAGES`."""
    if content[4:8] == b"ftyp":
        size = min(int.from_bytes(content[:4]), 256)
        brands = {content[8:12], *(content[n : n + 4] for n in range(16, size, 4))}
        if b"crx " in brands:  # Canon's CR3
            return "camera RAW"
        is_heif = content[8:12] in (b"mif1", b"msf1") and not brands & _AVIF
        return "HEIC" if brands & _HEVC or is_heif else None
    if content.startswith(_JXL):
        return "JPEG XL"
    if content[:4] in (b"II*\0", b"MM\0*"):
        return "camera RAW" if content[8:10] == b"CR" or _is_raw(content) else None
    return "camera RAW" if content.startswith(_RAW) else None


def _is_raw(content: bytes) -> bool:
    """Return whether a TIFF is a camera's, of which Pillow would read a small preview, if any."""
    order: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"

    def number(place: int, size: int) -> int:
        return int.from_bytes(content[place : place + size], order)

    first = number(4, 4)
    tags: dict[int, int] = {}
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        # A single value is in the entry itself.
        tags[number(entry, 2)] = number(entry + 8, 2 if number(entry + 2, 2) == 3 else 4)
    is_preview = bool(tags.get(_SUBFILE, 0) & 1) and _OTHERS in tags
    return is_preview or _DNG in tags or tags.get(_COLOURS) in _OF_A_SENSOR


def missing(kind: str) -> str:
    """Return what to do about a file whose package is not installed."""
    return f"{kind}, which needs another package: pip install {PACKAGES[kind][1]}"


def opened(content: bytes, kind: str, most: int) -> Image.Image | None:
    """Open a file of one of `PACKAGES`; None if it is a RAW of more than `most` pixels.

    Raises
    ------
    ModuleNotFoundError
        When its package is not installed.
    Exception
        Whatever the package raises at a damaged file.
    """
    package: Any = importlib.import_module(PACKAGES[kind][0])
    pil: Any = need("PIL.Image")
    picture: Image.Image
    if kind != "camera RAW":
        if kind == "HEIC":
            package.register_heif_opener()  # the other registers itself
        name = "HEIF" if kind == "HEIC" else "JXL"
        picture = pil.open(io.BytesIO(content), formats=[name])
        return picture
    with package.imread(io.BytesIO(content)) as raw:
        if raw.sizes.width * raw.sizes.height > most:
            return None
        # As the camera would have saved it, turned upright.
        picture = pil.fromarray(raw.postprocess(use_camera_wb=True))
    return picture
