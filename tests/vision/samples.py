"""Pictures of every kind, made on the spot: what a file holds, and the pixels that must come out.

The picture has four corners of different colours, so that a turn or a flip shows.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

image = pytest.importorskip("PIL.Image")

WIDTH, HEIGHT = 24, 16
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def corners(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Red and green above, blue and yellow below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = YELLOW
    return pixels


def plain(colour: tuple[int, ...] | int, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Any:
    return image.new(mode, size, colour)


def picture(pixels: np.ndarray | None = None) -> Any:
    return image.fromarray(corners() if pixels is None else pixels)


def encoded(form: str, picture_: Any = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture() if picture_ is None else picture_).save(file, form, **options)
    return file.getvalue()


def exif(orientation: Any) -> Any:
    data = image.Exif()
    data[0x0112] = orientation
    return data


def numbered(number: int) -> bytes:
    """One of many different PNGs: the number is the red and green of its only colour."""
    return encoded("PNG", plain((number % 256, number // 256 % 256, 77), size=(4, 3)))


def write_numbered(folder: Path, count: int, first: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        path.write_bytes(numbered(number))
    return paths


def png(width: int, height: int, depth: int, kind: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG by hand: what Pillow does not write (16 bits of colour, a false size, …)."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    contents = {"IHDR": header, **chunks, "IDAT": zlib.compress(rows), "IEND": b""}
    for name, content in contents.items():
        block = name.encode() + content
        parts.append(struct.pack(">I", len(content)) + block + struct.pack(">I", zlib.crc32(block)))
    return b"".join(parts)
