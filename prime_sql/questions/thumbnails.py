"""The example pictures of a report, small enough to be part of its page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from prime_sql.engine.errors import InstallError
from prime_sql.report.data import Pictures

SIDE = 96  # pixels
MOST = 3_000_000  # bytes of all together: a page has no room for more
_LACKING = "Pictures are left out: they need Pillow. Install it: pip install 'prime-sql[report]'"


def thumbnails(
    images: Iterable[tuple[str, str | None]], held: Mapping[str, bytes]
) -> tuple[dict[str, str], Pictures]:
    """Return thumbnails of images as data URIs.

    No request is made: an image that is neither `held` nor a local file gets none.

    Parameters
    ----------
    images
        image_id and URI, in the order in which they get room.
    held
        The bytes of pictures, by image_id.

    Returns
    -------
    thumbnails, pictures
        By image_id; and how many were found, unreadable or left out.
    """
    sources: dict[str, str | bytes] = {}
    for image_id, uri in images:
        if image_id in held:
            sources[image_id] = held[image_id]
        elif uri and _is_local(uri):
            sources[image_id] = uri
    if not sources:
        return {}, Pictures(found=0, unreadable=0, left_out=0, note=None)
    # Pictures in a database need Pillow only for thumbnails.
    from prime_sql.vision import pictures

    made: dict[str, str] = {}
    unreadable, room = 0, MOST
    for tried, (image_id, source) in enumerate(sources.items()):
        if room <= 0:
            left_out = len(sources) - tried
            return made, Pictures(len(sources), unreadable, left_out, None)
        try:
            content = pictures.read(source) if isinstance(source, str) else source
            picture = pictures.decode(content, least=SIDE)
        except pictures.PictureError:
            unreadable += 1
            continue
        except InstallError:
            return {}, Pictures(len(sources), 0, len(sources), _LACKING)
        picture.thumbnail((SIDE, SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=75)
        made[image_id] = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
        room -= len(made[image_id])
    return made, Pictures(len(sources), unreadable, 0, None)


def _is_local(uri: str) -> bool:
    try:
        return "://" not in uri or urlsplit(uri).scheme.lower() == "file"
    except ValueError:
        return False
