"""One picture from a URI: read, recognised and decoded to RGB, or the reason why not."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from prime_sql.engine.errors import first_line
from prime_sql.vision import formats
from prime_sql.vision.network import need

if TYPE_CHECKING:
    from PIL import Image

# Only what stores pixels: Pillow would start a PostScript interpreter for EPS, for example.
FORMATS = (
    "JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "TGA",
)  # fmt: skip
MAX_PIXELS = 89_478_485  # where Pillow, too, warns of a decompression bomb; it refuses twice that
MAX_BYTES = 2**30  # a film, or a disk image, would fill the memory
_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {  # what makes a picture upright, by that tag
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
LONGEST = 100  # times as long as wide; resized for a model, a hair would fill the memory


class PictureError(Exception):
    """A picture cannot be used; the message is the reason in ``image_problems``."""


def read(source: str | bytes) -> bytes:
    """Return the bytes of a file, a ``file:`` or ``data:`` URI, or any URI that fsspec opens.

    Bytes are the file itself.

    Raises
    ------
    PictureError
        When there are none.
    """
    content = source if isinstance(source, bytes) else _fetch(source)
    if not content:
        raise PictureError("the file is empty")
    if len(content) > MAX_BYTES:
        raise PictureError(f"too large: at most {MAX_BYTES:,} bytes are read")
    return content


def _fetch(uri: str) -> bytes:
    if not uri:
        raise PictureError("its name is empty")
    scheme = uri.partition(":")[0].lower() if ":" in uri[:12] else ""
    try:
        if scheme == "data":
            content = _inline(uri)
        elif scheme == "file":
            content = _file(_path(uri))
        elif "://" in uri:
            with need("fsspec").open(uri) as file:
                content = file.read(MAX_BYTES + 1)
        else:
            content = _file(uri)
    except FileNotFoundError as error:
        raise PictureError("there is no such file") from error
    except PermissionError as error:
        raise PictureError("no permission to read it") from error
    except PictureError:
        raise
    except Exception as error:  # a network, a protocol's package that is missing, a name with \0
        raise PictureError(f"cannot be read: {_first_line(error)}") from error
    return content


def local_path(uri: str) -> str | None:
    """Return the path of a file on this machine, None for any other URI."""
    if "://" not in uri and not uri[:5].lower().startswith(("data:", "file:")):
        return uri
    return _path(uri) if uri[:5].lower() == "file:" else None


def _path(uri: str) -> str:
    path = urlsplit(uri).path
    # A name need not be UTF-8.
    return url2pathname(path) if os.name == "nt" else os.fsdecode(unquote_to_bytes(path))


def _file(name: str) -> bytes:
    status = Path(name).stat()
    if stat.S_ISDIR(status.st_mode):
        readable = os.access(name, os.R_OK | os.X_OK)
        raise PictureError("it is a folder" if readable else "no permission to read this folder")
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("it is a pipe or a device")  # which may never end, or never begin
    if status.st_size > MAX_BYTES:
        raise PictureError(f"too large: {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
    return Path(name).read_bytes()


def _inline(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise PictureError("a data URI without a comma")
    if head.endswith(";base64"):
        try:
            # White space has no meaning there; Spark's base64() breaks lines, for example.
            return base64.b64decode("".join(body.split()), validate=True)
        except binascii.Error as error:
            raise PictureError("a data URI that is not base64") from error
    return unquote_to_bytes(body)


def open_picture(content: bytes) -> Image.Image:
    """Recognise a picture and read its size; nothing is decoded yet.

    Raises
    ------
    PictureError
        When it is not an image, or too large to be decoded.
    """
    pil = need("PIL.Image")
    pil.init()  # all formats, not only the usual ones
    _ignore_warnings()
    kind = formats.kind_of(content)
    if kind is not None:
        return _open_other(content, kind)
    try:
        picture: Image.Image = pil.open(
            io.BytesIO(content), formats=[name for name in FORMATS if name in pil.OPEN]
        )
    except pil.UnidentifiedImageError as error:
        raise PictureError(_unidentified(content, pil.OPEN)) from error
    except pil.DecompressionBombError as error:
        raise PictureError(f"too large: {_first_line(error)}") from error
    except Exception as error:  # a damaged file can raise anything in its decoder
        raise PictureError(f"damaged: {_first_line(error)}") from error
    return picture


def _open_other(content: bytes, kind: str) -> Image.Image:
    """Open a picture with the package for its format."""
    try:
        picture = formats.opened(content, kind, MAX_PIXELS)
    except ModuleNotFoundError as error:
        raise PictureError(formats.missing(kind)) from error
    except Exception as error:  # anything, as above; its words are no better than these
        raise PictureError(f"begins like {kind}, but cannot be opened as one") from error
    if picture is None:
        raise PictureError(f"too large: at most {MAX_PIXELS:,} pixels are decoded")
    return picture


def _unidentified(content: bytes, known: dict[str, Any]) -> str:
    for name in FORMATS:
        accept = known[name][1] if name in known else None
        if accept is not None and accept(content[:16]):
            return f"begins like {name}, but cannot be opened as one"
    return "not an image of a known format"


def upright_size(content: bytes) -> tuple[int, int]:
    """Return width and height in pixels, turned as its EXIF data say.

    The picture is decoded to its end, if small: its header does not say whether that is missing.

    Raises
    ------
    PictureError
        As `decode`.
    """
    decoded = decode(content, least=1)
    if not content.startswith(b"\xff\xd8"):  # as JPEG and MPO do
        return decoded.size  # whole, as some formats have their EXIF data after the pixels
    picture = open_picture(content)
    width, height = picture.size
    return (height, width) if _orientation(picture) in (5, 6, 7, 8) else (width, height)


def decode(content: bytes, least: int | None = None) -> Image.Image:
    """Return a picture in RGB, upright, on white where it is transparent.

    Of an animation the first frame, of a TIFF the first page. Colours are taken as they are
    stored: a colour profile is not applied, as is usual in training. Sixteen bits per channel
    become eight.

    Parameters
    ----------
    content
        The file.
    least
        How many pixels the shorter side must keep. A much larger JPEG is decoded at 1/2, 1/4 or
        1/8 of its size, but to at least twice this.

    Raises
    ------
    PictureError
        When it is not an image, damaged or too large.
    """
    picture = open_picture(content)
    if max(picture.size) > LONGEST * min(picture.size):
        width, height = picture.size
        raise PictureError(f"{width} x {height} pixels: too long and thin for a model")
    try:
        if least is not None and min(picture.size) > 4 * least:
            scale = 2 * least / min(picture.size)
            width, height = picture.size
            picture.draft(None, (round(width * scale), round(height * scale)))
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise PictureError(
                f"too large: {width} x {height} pixels; at most {MAX_PIXELS:,} are decoded"
            )
        picture.load()
        if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
            raise PictureError("pixels of 32 bits per channel; save it with 8")
        rgb: Image.Image = _on_white(_upright(picture))
        return rgb
    except PictureError:
        raise
    except Exception as error:
        text = _first_line(error)
        raise PictureError(text if "truncated" in text else f"damaged: {text}") from error


def _upright(picture: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(need("PIL.Image").Transpose[turn])


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data; the pixels are fine
        return 1


def _on_white(picture: Any) -> Any:
    pil: Any = need("PIL.Image")
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert would cut off at 255
        import numpy as np

        return pil.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        opaque = picture.convert("RGBA")
        white = pil.new("RGBA", opaque.size, "white")
        return pil.alpha_composite(white, opaque).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


# Pillow warns of half as many pixels as it refuses, of a damaged tag of a TIFF, ….
_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\b"), 0)


def _ignore_warnings() -> None:
    """Ignore what Pillow warns of: what cannot be used is listed with a reason.

    For good: in several threads, `warnings.catch_warnings` would leave arbitrary filters behind.
    """
    if _WARNINGS not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\b")


def _first_line(error: BaseException) -> str:
    text = first_line(error)
    return text if len(text) <= 200 else f"{text[:199]}…"
