"""Which way up a picture is."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from prime_sql.vision.pictures import (
    decode,
    upright_size,
)
from tests.vision.pixels import CORNERS, PALETTE, SHOWN, close, colours, rgba
from tests.vision.samples import (
    BLUE,
    GREEN,
    HEIGHT,
    RED,
    WIDTH,
    YELLOW,
    corners,
    encoded,
    exif,
    image,
    picture,
)

# The quarters of the picture, stored as they are, when it is shown by each orientation.
TURNED = {
    1: [RED, GREEN, BLUE, YELLOW],
    2: [GREEN, RED, YELLOW, BLUE],
    3: [YELLOW, BLUE, GREEN, RED],
    4: [BLUE, YELLOW, RED, GREEN],
    5: [RED, BLUE, GREEN, YELLOW],
    6: [BLUE, RED, YELLOW, GREEN],
    7: [YELLOW, GREEN, BLUE, RED],
    8: [GREEN, YELLOW, RED, BLUE],
}

FORMS = ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("orientation", TURNED)
def test_orientation(orientation: int, form: str) -> None:
    content = encoded(form, exif=exif(orientation), quality=95)
    size = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH)
    assert close(colours(content), TURNED[orientation])
    assert decode(content).size == size
    assert upright_size(content) == size


@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_of_other_pixels(orientation: int) -> None:
    seen = {"palette": (PALETTE, [RED, GREEN, BLUE, YELLOW]), "alpha": (picture(rgba()), SHOWN)}
    for stored, shown in seen.values():
        content = encoded("PNG", stored, exif=exif(orientation))
        turned = [shown[CORNERS.index(corner)] for corner in TURNED[orientation]]
        assert colours(content) == turned
    ramp = np.repeat(np.arange(WIDTH, dtype=np.uint16)[None] * 2560, HEIGHT, 0)
    content = encoded("PNG", image.fromarray(ramp), exif=exif(orientation))
    found = np.asarray(decode(content))[..., 0]
    along = found[0] if orientation < 5 else found[:, 0]
    values = [10 * i for i in range(WIDTH)]
    assert along.tolist() == (values[::-1] if orientation in (2, 3, 7, 8) else values)


@pytest.mark.parametrize("orientation", TURNED)
def test_orientation_of_a_large_jpeg(orientation: int) -> None:
    content = encoded("JPEG", picture(corners(1001, 999)), exif=exif(orientation), quality=95)
    assert close(colours(content, least=1), TURNED[orientation])
    assert max(decode(content, least=1).size) < 200
    assert upright_size(content) == ((1001, 999) if orientation < 5 else (999, 1001))


def test_orientation_behind_the_pixels() -> None:
    content = encoded("PNG", exif=exif(6))
    start = content.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", content[start : start + 4])[0]
    moved = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    assert colours(moved) == TURNED[6]
    assert upright_size(moved) == (HEIGHT, WIDTH)


def directory(*entries: bytes) -> bytes:
    """EXIF data of these entries, 12 bytes each."""
    head = b"Exif\0\0II*\0\x08\0\0\0"
    return head + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


DAMAGED_EXIF = {
    "nothing": b"",
    "no TIFF": b"Exif\0\0 what is this",
    "cut off": b"Exif\0\0" + exif(6).tobytes()[6:20],
    "an unknown orientation": exif(9).tobytes(),
    "an orientation in words": directory(struct.pack("<HHI4s", 0x0112, 2, 4, b"top")),
    "a directory that is not there": b"Exif\0\0II*\0\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("name", DAMAGED_EXIF)
def test_damaged_exif(name: str) -> None:
    content = encoded("JPEG", exif=DAMAGED_EXIF[name], quality=95)
    assert close(colours(content), CORNERS)
    assert upright_size(content) == (WIDTH, HEIGHT)


def test_damage_elsewhere_in_exif_does_not_hide_the_orientation() -> None:
    # Orientation 6, then a tag of a type that does not exist.
    damaged = struct.pack("<HHII", 0x010E, 99, 1, 0)
    data = directory(struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), damaged)
    content = encoded("JPEG", exif=data, quality=95)
    assert close(colours(content), TURNED[6])
    assert upright_size(content) == (HEIGHT, WIDTH)
