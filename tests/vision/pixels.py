"""Pictures of every kind of pixels, and the colours that come out."""

from __future__ import annotations

import numpy as np

from prime_sql.vision.pictures import (
    decode,
)
from tests.vision.samples import (
    BLUE,
    GREEN,
    HEIGHT,
    RED,
    WIDTH,
    YELLOW,
    corners,
    encoded,
    image,
    picture,
    plain,
    png,
)

WHITE = (255, 255, 255)

LOSSY = 24  # how far a colour may be off, of 255


def colours(content: bytes, least: int | None = None) -> list[tuple[int, ...]]:
    """The colours of the four quarters, at their middles: above, then below."""
    decoded = decode(content, least)
    assert decoded.mode == "RGB"
    pixels = np.asarray(decoded)
    height, width, _ = pixels.shape
    rows, columns = (height // 4, height - 1 - height // 4), (width // 4, width - 1 - width // 4)
    return [tuple(map(int, pixels[y, x])) for y in rows for x in columns]


def close(found: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> bool:
    return bool((abs(np.array(found) - np.array(expected)) <= LOSSY).all())


CORNERS = [RED, GREEN, BLUE, YELLOW]

OTHER = picture(corners()[:, ::-1])  # a second frame: the first one's mirror image

PALETTE = picture().quantize(8)


def cmyk(*, transform: int | None = 0) -> bytes:
    """A CMYK JPEG as Photoshop writes it, its numbers upside down; None: without Adobe's mark."""
    content = encoded("JPEG", picture().convert("CMYK"), quality=95)
    mark = content.index(b"\xff\xee\x00\x0eAdobe")
    if transform is None:
        return content[:mark] + content[mark + 16 :]
    return content


def palette_with_alpha() -> bytes:
    """Red is opaque, green is not there, blue is half there, yellow is opaque."""
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    indices[: HEIGHT // 2, WIDTH // 2 :] = 1
    indices[HEIGHT // 2 :, : WIDTH // 2] = 2
    indices[HEIGHT // 2 :, WIDTH // 2 :] = 3
    coloured = image.fromarray(indices)
    coloured.putpalette([*RED, *GREEN, *BLUE, *YELLOW])
    return encoded("PNG", coloured, transparency=bytes([255, 0, 128, 255]))


def rgba() -> np.ndarray:
    pixels = np.dstack([corners(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    pixels[: HEIGHT // 2, WIDTH // 2 :, 3] = 0
    pixels[HEIGHT // 2 :, : WIDTH // 2, 3] = 128
    return pixels


def sixteen(values: np.ndarray) -> bytes:
    """Rows of a PNG of 16 bits a channel, each after its filter byte."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)


HALF_BLUE = (127, 127, 255)

SHOWN = [RED, WHITE, HALF_BLUE, YELLOW]

WHOLE = np.full((8, 8), 51 * 256 + 200)  # 16 bits; 51 of 255

FIFTH = [(51, 51, 51)] * 4

LOSSLESS = {
    "png": (encoded("PNG"), CORNERS),
    "png of 16 bits": (png(8, 8, 16, 2, sixteen(np.tile([[[51 << 8, 0, 65535]]], (8, 8, 1)))),
                       [(51, 0, 255)] * 4),
    "palette": (encoded("PNG", PALETTE), CORNERS),
    "palette, one colour transparent": (
        encoded("PNG", PALETTE, transparency=PALETTE.getpixel((0, 0))),
        [WHITE, GREEN, BLUE, YELLOW],
    ),
    "palette with alpha": (palette_with_alpha(), SHOWN),
    "rgba": (encoded("PNG", picture(rgba())), SHOWN),
    "rgba of 16 bits": (
        png(8, 8, 16, 6, sixteen(np.tile([[[65535, 0, 0, 32768]]], (8, 8, 1)))),
        [(255, 127, 127)] * 4,
    ),
    "rgb, one colour transparent": (
        encoded("PNG", transparency=GREEN), [RED, WHITE, BLUE, YELLOW],
    ),
    "grey": (encoded("PNG", plain(51, "L")), FIFTH),
    "grey with alpha": (encoded("PNG", plain((51, 0), "LA")), [WHITE] * 4),
    "grey, half there": (encoded("PNG", plain((51, 128), "LA")), [(153, 153, 153)] * 4),
    "grey, one value transparent": (encoded("PNG", plain(51, "L"), transparency=51), [WHITE] * 4),
    "grey of 16 bits": (png(8, 8, 16, 0, sixteen(WHOLE)), FIFTH),
    "grey of 16 bits, TIFF": (encoded("TIFF", image.fromarray(WHOLE.astype(np.uint16))), FIFTH),
    "grey of 16 bits, big-endian TIFF": (
        encoded("TIFF", image.fromarray(WHOLE.astype(">u2"))), FIFTH,
    ),
    "grey of 16 bits, PGM": (b"P5 8 8 65535\n" + WHOLE.astype(">u2").tobytes(), FIFTH),
    "grey of 16 bits, JPEG 2000": (
        encoded("JPEG2000", image.fromarray(WHOLE.astype(np.uint16))), FIFTH,
    ),
    "black and white": (encoded("PNG", plain(1, "1")), [WHITE] * 4),
    "black and white, black transparent": (
        encoded("PNG", plain(0, "1"), transparency=0), [WHITE] * 4,
    ),
    "black and white, fax": (encoded("TIFF", plain(0, "1"), compression="group4"), [(0,) * 3] * 4),
    "gif": (encoded("GIF"), CORNERS),
    "gif, one colour transparent": (
        encoded("GIF", PALETTE, transparency=PALETTE.getpixel((0, 0))),
        [WHITE, GREEN, BLUE, YELLOW],
    ),
    "animated gif": (encoded("GIF", save_all=True, append_images=[OTHER]), CORNERS),
    "animated png": (encoded("PNG", save_all=True, append_images=[OTHER]), CORNERS),
    "animated png with a cover": (
        encoded("PNG", save_all=True, append_images=[OTHER, OTHER], default_image=True), CORNERS,
    ),
    "webp": (encoded("WEBP", lossless=True), CORNERS),
    "webp with alpha": (encoded("WEBP", picture(rgba()), lossless=True, exact=True), SHOWN),
    "animated webp": (
        encoded("WEBP", lossless=True, save_all=True, append_images=[OTHER]), CORNERS,
    ),
    "tiff": (encoded("TIFF"), CORNERS),
    "tiff, compressed": (encoded("TIFF", compression="tiff_lzw"), CORNERS),
    "tiff with alpha": (encoded("TIFF", picture(rgba())), SHOWN),
    "tiff of several pages": (encoded("TIFF", save_all=True, append_images=[OTHER]), CORNERS),
    "tiff, cmyk": (encoded("TIFF", picture().convert("CMYK")), CORNERS),
    "bmp": (encoded("BMP"), CORNERS),
    "tga": (encoded("TGA"), CORNERS),
    "ppm": (encoded("PPM"), CORNERS),
    "ico": (encoded("ICO", picture(corners(32, 32))), CORNERS),
    "jpeg 2000": (encoded("JPEG2000"), CORNERS),
}  # fmt: skip

ALMOST = {
    "jpeg": (encoded("JPEG", quality=95), CORNERS),
    "progressive jpeg": (encoded("JPEG", quality=95, progressive=True), CORNERS),
    "grey jpeg": (encoded("JPEG", plain(51, "L")), FIFTH),
    "cmyk jpeg": (cmyk(), CORNERS),
    "cmyk jpeg without Adobe's mark": (cmyk(transform=None), CORNERS),
    "mpo": (encoded("MPO", quality=95, save_all=True, append_images=[OTHER]), CORNERS),
    "avif": (encoded("AVIF", quality=95), CORNERS),
    "webp, lossy": (encoded("WEBP", quality=95), CORNERS),
}

GOOD = {name: content for name, (content, _) in {**LOSSLESS, **ALMOST}.items()}


PNG = encoded("PNG")
