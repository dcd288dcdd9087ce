"""A report as one page: its style, script, plots and thumbnails inside, and no request out.

The bars of the cards are drawn by the template: Vega takes a quarter of a second for each plot,
and there are fifty cards.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from functools import cache
from importlib import resources
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup

from prime_sql.errors import InstallError
from prime_sql.report import plots
from prime_sql.report.data import Report
from prime_sql.report.text import definition, result, searched

LARGEST = 3_000_000  # bytes of a page
_SHARE_OF_ROWS = 0.8  # of these for the table, where it is long; the rest is for cards and pictures
_SIDE = 96  # pixels of a thumbnail


def page(report: Report) -> str:
    """Return the page.

    Where all would not fit into 3 MB, the table has the failure modes with most excess errors and
    says so; then thumbnails are left out, the last cards' first.
    """
    figures, missing = plots.draw(report)
    notes = [missing] if missing else []
    shown = len(report.modes)
    text = _render(report, shown, figures, {}, notes)
    while (size := len(text.encode())) > LARGEST * _SHARE_OF_ROWS and shown > 100:
        shown = max(100, int(shown * min(0.95, LARGEST * _SHARE_OF_ROWS / size)))
        text = _render(report, shown, figures, {}, notes)
    pictures, lacking = _thumbnails(report, LARGEST - size - 20_000)
    if not pictures and not lacking:
        return text
    return _render(report, shown, figures, pictures, [*notes, *lacking])


def _render(
    report: Report,
    shown: int,
    figures: dict[str, plots.Figure],
    pictures: dict[str, str],
    notes: list[str],
) -> str:
    modes = report.modes[:shown]
    return (
        _environment()
        .get_template("template.html.jinja")
        .render(
            report=report,
            search=report.search,
            headline=report.headline,
            modes=modes,
            by_id={mode.mode_id: mode for mode in report.modes},
            with_card={card.mode_id for card in report.cards},
            classes_of_modes=sorted({mode.class_name for mode in modes}),
            tags_of_modes=sorted({name for mode in modes for name in mode.tag_names}),
            has_p=any(mode.p_value is not None for mode in modes),
            has_q=any(mode.q_value is not None for mode in modes),
            figures=figures,
            pictures=pictures,
            notes=notes,
            searched=searched(report),
            definition=definition(report.search.options),
            result=result(report),
            css=_inside("report.css"),
            js=_inside("report.js"),
        )
    )


def _inside(name: str) -> Markup:
    """Return a file of this package; it is ours, and is not escaped."""
    return Markup(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: str(_inside(name))),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["percent"] = lambda share: "" if share is None else f"{share:.1%}"
    environment.filters["points"] = lambda share: "" if share is None else f"{share * 100:.1f}"
    environment.filters["number"] = lambda number: f"{number:,}"
    environment.filters["p"] = lambda p: "" if p is None else f"{p:.2g}"
    environment.filters["short"] = _short
    return environment


def _visible(value: object) -> object:
    """Show control characters, and those that turn the direction of the text, as escapes."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(
        repr(c)[1:-1]
        if (unicodedata.category(c) == "Cc" and c not in "\n\t")
        or "\u202a" <= c <= "\u202e"
        or "\u2066" <= c <= "\u2069"
        else c
        for c in value
    )


def _short(text: str, longest: int = 44) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _thumbnails(report: Report, room: int) -> tuple[dict[str, str], list[str]]:
    """Return the thumbnails of local files as data URIs, by URI, and what is to be said of them."""
    uris = dict.fromkeys(
        example.uri
        for card in report.cards
        for example in card.examples
        if example.uri and _is_local(example.uri)
    )
    if not uris:
        return {}, []
    # Of the pictures of a database only thumbnails need Pillow.
    from prime_sql.vision import pictures

    found: dict[str, str] = {}
    unreadable, left_out = 0, 0
    for uri in uris:
        try:
            picture = pictures.decode(pictures.read(uri), least=_SIDE)
        except pictures.PictureError:
            unreadable += 1
            continue
        except InstallError:
            why = "Pictures are left out: they need Pillow. Install it: pip install pillow."
            return {}, [why]
        picture.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=75)
        data = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
        if len(data) + 200 > room:
            left_out += 1
            continue
        room -= len(data) + 200
        found[uri] = data
    said = []
    if unreadable:
        said.append(f"{unreadable:,} of {len(uris):,} example pictures cannot be read.")
    if left_out:
        said.append(f"{left_out:,} example pictures are left out, to keep this page small.")
    return found, said


def _is_local(uri: str) -> bool:
    try:
        return "://" not in uri or urlsplit(uri).scheme.lower() == "file"
    except ValueError:
        return False
