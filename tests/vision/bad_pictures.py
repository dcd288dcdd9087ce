"""Files that are not pictures, and what is said of them."""

from __future__ import annotations

import numpy as np

from tests.vision.pixels import WHITE
from tests.vision.samples import (
    encoded,
    image,
    plain,
    png,
)

NOISE = image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))

UNKNOWN = "not an image of a known format"

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)

RAW = b"II*\0\x10\0\0\0CR\x02\0" + bytes(90)  # Canon's CR2

BAD = {
    "zero bytes": (b"", "the file is empty"),
    "text": (b"no picture\n" * 50, UNKNOWN),
    "a web page": (b"<!DOCTYPE html><title>404</title>", UNKNOWN),
    "zeros": (bytes(2000), UNKNOWN),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", UNKNOWN),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNKNOWN),
    "eps as Pillow writes it": (encoded("EPS"), UNKNOWN),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', UNKNOWN),
    "mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500), UNKNOWN),
    "heic": (HEIC, "^HEIC, which needs another package: pip install pillow-heif$"),
    "jpeg xl": (b"\xff\x0a" + bytes(90), "^JPEG XL, which .* pip install pillow-jxl-plugin$"),
    "raw": (RAW, "^camera RAW, which needs another package: pip install rawpy$"),
    "zip": (b"PK\x03\x04" + bytes(60), UNKNOWN),
    "half a jpeg": (encoded("JPEG", NOISE)[:1500], "truncated"),
    "half a progressive jpeg": (encoded("JPEG", NOISE, progressive=True)[:1500], "truncated"),
    "half a png": (encoded("PNG", NOISE)[:5000], "truncated"),
    "half a gif": (encoded("GIF", NOISE)[:2000], "truncated"),
    "half a bmp": (encoded("BMP", NOISE)[:5000], "truncated"),
    "half a webp": (encoded("WEBP", NOISE)[:1000], "^damaged"),
    "half an avif": (encoded("AVIF", NOISE)[:-200], "^damaged"),
    "half a tiff": (encoded("TIFF", NOISE, compression="tiff_lzw")[:5000], "^begins like TIFF"),
    "the beginning of a jpeg": (encoded("JPEG")[:20], "^begins like JPEG"),
    "a png with other bytes in it": (
        encoded("PNG", NOISE).replace(b"IDAT", b"IDAT" + bytes(9), 1), "^damaged",
    ),
    "a png of no width": (png(0, 9, 8, 2, b""), "^begins like PNG"),
    "floating point": (
        encoded("TIFF", image.fromarray(np.ones((4, 4), np.float32))), "32 bits per channel",
    ),
    "32 bits": (
        encoded("TIFF", image.fromarray(np.full((4, 4), 200, np.int32))), "32 bits per channel",
    ),
    "a bomb's header": (png(50_000, 50_000, 8, 2, b""), r"^too large: .*2500000000 pixels"),
    "a small bomb's header": (png(10_000, 9000, 8, 2, b""), "^too large: 10000 x 9000 pixels"),
    "a bomb": (png(10_000, 9000, 1, 0, bytes(9000 * 1251)), "^too large: 10000 x 9000 pixels"),
    "a hair": (encoded("PNG", plain(WHITE, size=(10_000, 1))), "^10000 x 1 pixels: too long"),
}  # fmt: skip
