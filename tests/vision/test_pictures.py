"""Every kind of file becomes RGB pixels, or a reason that its owner understands."""

from __future__ import annotations

import numpy as np
import pytest

from prime_sql.vision.pictures import (
    decode,
    upright_size,
)
from tests.vision.pixels import ALMOST, LOSSLESS, WHITE, close, cmyk, colours
from tests.vision.samples import (
    encoded,
    image,
    plain,
)

# Kinds of pixels ----------------------------------------------------------------------------------

GREY = [(54, 54, 54), (182, 182, 182), (18, 18, 18), (237, 237, 237)]  # by Rec. 709, for a ramp


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless(name: str) -> None:
    content, expected = LOSSLESS[name]
    assert colours(content) == expected
    assert colours(content, least=1) == expected


@pytest.mark.parametrize("name", ALMOST)
def test_lossy(name: str) -> None:
    content, expected = ALMOST[name]
    assert close(colours(content), expected)
    assert close(colours(content, least=1), expected)


def test_a_cmyk_jpeg_is_stored_upside_down() -> None:
    assert b"Adobe" in cmyk()
    assert b"Adobe" not in cmyk(transform=None)


def test_one_pixel() -> None:
    for form in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        content = encoded(form, plain(WHITE, size=(1, 1)))
        assert np.asarray(decode(content, 224)).tolist() == [[[255, 255, 255]]]
        assert upright_size(content) == (1, 1)


# A fraction of a large JPEG -----------------------------------------------------------------------


def photo(mode: str = "RGB") -> object:
    """Soft shapes with some grain and hard edges, 1800 x 1200."""
    random = np.random.default_rng(7)
    soft = image.fromarray(random.integers(0, 256, (10, 15, 3), np.uint8)).resize((1800, 1200))
    pixels = np.asarray(soft).astype(int) + random.normal(0, 12, (1200, 1800, 1)).astype(int)
    pixels[300:600, 400:420] = 255
    pixels[::40, 900:1500] = 0
    return image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_a_fraction_looks_like_the_whole(mode: str, options: dict[str, object]) -> None:
    content = encoded("JPEG", photo(mode), quality=85, **options)
    size = (224 * 3 // 2, 224)
    whole, part = decode(content), decode(content, least=224)
    assert whole.size == (1800, 1200)
    assert part.size == (900, 600)  # no less than twice what is asked for
    shown = [
        np.asarray(p.resize(size, image.Resampling.BICUBIC)).astype(int) for p in (whole, part)
    ]
    difference = abs(shown[0] - shown[1])
    assert difference.mean() < 1
    assert np.percentile(difference, 99) < 8


@pytest.mark.parametrize(
    ("least", "size"),
    [
        (75, (225, 150)),
        (150, (450, 300)),
        (299, (900, 600)),
        (300, (1800, 1200)),
        (9999, (1800, 1200)),
    ],
)
def test_how_much_is_decoded(least: int, size: tuple[int, int]) -> None:
    assert decode(encoded("JPEG", photo()), least).size == size


def test_other_formats_are_decoded_whole() -> None:
    assert decode(encoded("BMP", photo()), 10).size == (1800, 1200)
