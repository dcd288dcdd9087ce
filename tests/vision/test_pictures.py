"""Every kind of file becomes RGB pixels, or a reason that its owner understands."""

from __future__ import annotations

import base64
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
from prime_sql.vision import load_images
from prime_sql.vision.pictures import (
    MAX_BYTES,
    MAX_PIXELS,
    PictureError,
    decode,
    read,
    upright_size,
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
    exif,
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


# Kinds of pixels ----------------------------------------------------------------------------------

CORNERS = [RED, GREEN, BLUE, YELLOW]
GREY = [(54, 54, 54), (182, 182, 182), (18, 18, 18), (237, 237, 237)]  # by Rec. 709, for a ramp
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


# Which way up -------------------------------------------------------------------------------------

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


# What cannot be used ------------------------------------------------------------------------------

NOISE = image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
UNKNOWN = "not an image of a known format"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)

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
    "heic": (HEIC, UNKNOWN),
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
        encoded("TIFF", image.fromarray(np.ones((4, 4), np.float32))), "32 bits a channel",
    ),
    "32 bits": (
        encoded("TIFF", image.fromarray(np.full((4, 4), 200, np.int32))), "32 bits a channel",
    ),
    "a bomb's header": (png(50_000, 50_000, 8, 2, b""), r"^too large: .*2500000000 pixels"),
    "a small bomb's header": (png(10_000, 9000, 8, 2, b""), "^too large: 10000 x 9000 pixels"),
    "a bomb": (png(10_000, 9000, 1, 0, bytes(9000 * 1251)), "^too large: 10000 x 9000 pixels"),
    "a hair": (encoded("PNG", plain(WHITE, size=(10_000, 1))), "^10000 x 1 pixels: too long"),
}  # fmt: skip


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
        # More often in the first bytes, where sizes and formats stand.
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


# URIs ---------------------------------------------------------------------------------------------

PNG = encoded("PNG")


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
