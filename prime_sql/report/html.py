"""A report as one page, with its style, script, plots and thumbnails inside: it makes no request.

The bars of the cards are drawn by the template: Vega takes a quarter of a second for each plot,
and there are fifty cards.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import islice

import jinja2
from markupsafe import Markup

from prime_sql.engine.defaults import CARDS
from prime_sql.report import plots
from prime_sql.report.data import Card, Change, Example, ReportData
from prime_sql.report.text import changes_of, day, definition, result, searched, since

LARGEST = 3_000_000  # bytes of a page with up to 50 cards; in proportion for more
_SHARE_OF_ROWS = 0.8  # of these for what is not a picture, if the table is long
_LEAST_ROWS = 100
_LONGEST = 100  # characters of a name on the page; JSON has all of them


@dataclass(frozen=True)
class _Shown:
    """How much of a report is on the page."""

    rows: int
    cards: int
    trends: bool = True  # in the table; cards have them always
    pictures: int = 0  # of the example images that have a thumbnail, card by card


def page(report: ReportData) -> str:
    """Return the page.

    If it would not fit into 3 MB, the table goes without trends; then it has only the failure modes
    with the most excess errors, and says so; then thumbnails are left out, the last cards' first;
    finally, cards.
    """
    figures, missing = plots.draw(report)
    notes = [missing] if missing else []
    largest = LARGEST * max(1, len(report.cards) / CARDS)
    shown = _Shown(len(report.modes), len(report.cards))
    text = _render(report, shown, figures, notes)
    if report.history and len(text.encode()) > largest * _SHARE_OF_ROWS:
        shown = replace(shown, trends=False)
        text = _render(report, shown, figures, notes)
    while (size := len(text.encode())) > largest * _SHARE_OF_ROWS and shown.rows > _LEAST_ROWS:
        fitting = int(shown.rows * min(0.95, largest * _SHARE_OF_ROWS / size))
        shown = replace(shown, rows=max(_LEAST_ROWS, fitting))
        text = _render(report, shown, figures, notes)
    while size > largest and shown.cards:
        shown = replace(shown, cards=int(shown.cards * min(0.9, largest / size)))
        text = _render(report, shown, figures, notes)
        size = len(text.encode())
    fitting, pictures = 0, 0
    room = largest - size - 1000  # for what is said about them
    for _, example in _pictured(report.cards[: shown.cards]):
        pictures += 1
        # The alternative text is a name, escaped, and the rest of the element a constant.
        room -= len(example.thumbnail or "") + 6 * len(_short(example.image_id).encode()) + 70
        if room > 0:
            fitting = pictures
    shown = replace(shown, pictures=fitting)
    said = _said_of_pictures(report, pictures - fitting)
    return _render(report, shown, figures, [*notes, *said]) if fitting or said else text


def _pictured(cards: Iterable[Card]) -> Iterator[tuple[str, Example]]:
    return ((card.mode_id, each) for card in cards for each in card.examples if each.thumbnail)


def _said_of_pictures(report: ReportData, left_out: int) -> list[str]:
    if (pictures := report.pictures) is None:
        return []
    if pictures.note:
        return [f"{pictures.note}."]
    said = []
    if pictures.unreadable:
        said.append(
            f"{pictures.unreadable:,} of {pictures.found:,} example pictures cannot be read."
        )
    if left_out + pictures.left_out:
        said.append(
            f"{left_out + pictures.left_out:,} example pictures are left out, "
            "to keep this page small."
        )
    return said


def _render(
    report: ReportData, shown: _Shown, figures: dict[str, plots.Figure], notes: list[str]
) -> str:
    modes, cards = report.modes[: shown.rows], report.cards[: shown.cards]
    return (
        _environment()
        .get_template("template.html.jinja")
        .render(
            report=report,
            search=report.search,
            headline=report.headline,
            modes=modes,
            cards=cards,
            by_id={mode.mode_id: mode for mode in report.modes},
            with_card={card.mode_id for card in cards},
            classes_of_modes=sorted({_short(mode.class_name) for mode in modes}),
            tags_of_modes=sorted({_short(name) for mode in modes for name in mode.tag_names}),
            has_p=any(mode.p_value is not None for mode in modes),
            has_q=any(mode.q_value is not None for mode in modes),
            figures=figures,
            since=since(report),
            changes=_grouped(report),
            trends=_trends(report),
            trends_in_table=report.history is not None and shown.trends,
            pictures={
                (mode_id, example.image_id)
                for mode_id, example in islice(_pictured(cards), shown.pictures)
            },
            notes=notes,
            searched=searched(report),
            definition=definition(report.search.options),
            result=result(report),
            css=_inside("report.css"),
            js=_inside("report.js"),
        )
    )


@dataclass(frozen=True)
class _Trend:
    """How a mode developed, and its change since the previous run."""

    status: str
    change: float | None
    accuracies: tuple[float | None, ...]
    images: tuple[int | None, ...]


def _trends(report: ReportData) -> dict[str, _Trend]:
    if report.history is None:
        return {}
    changes = {change.mode_id: change for change in report.history.changes}
    return {
        trend.mode_id: _Trend(
            changes[trend.mode_id].status,
            changes[trend.mode_id].accuracy_change,
            trend.accuracies,
            trend.images,
        )
        for trend in report.history.trends
    }


def _grouped(report: ReportData) -> dict[str, list[Change]]:
    """Return the changes by their status, with what a reader looks for first."""
    grouped: dict[str, list[Change]] = {"new": [], "fixed": [], "persisting": [], "undecided": []}
    for change in changes_of(report):
        grouped[change.status].append(change)
    return grouped


def _sparkline(accuracies: tuple[float | None, ...], width: int = 72) -> Markup:
    """Draw accuracies from 0 to 1 as a line with gaps; the newest one is a dot."""
    step = (width - 6) / max(1, len(accuracies) - 1)
    points = [
        None if each is None else f"{3 + step * place:.3g} {19 - 16 * each:.3g}"
        for place, each in enumerate(accuracies)
    ]
    line = ""
    for before, point in zip((None, *points), points, strict=False):
        if point is not None:
            # A line of no length has round ends, too: a point between gaps is a dot.
            line += f"L{point}" if before else f"M{point}h0"
    told = ", ".join("unknown" if each is None else f"{each:.1%}" for each in accuracies)
    newest = f'<path class="now" d="M{points[-1]}h0"/>' if points[-1] else ""
    return Markup(
        f'<svg class="spark" role="img" aria-label="Accuracy {told}" viewBox="0 0 {width} 22">'
        f'<path d="{line}"/>{newest}</svg>'
    )


def _inside(name: str) -> Markup:
    """Return a file of this package; it is ours, so it is not escaped."""
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
    environment.filters["signed"] = lambda share: "" if share is None else f"{share * 100:+.1f}"
    environment.filters["day"] = day
    environment.filters["sparkline"] = _sparkline
    environment.filters["p"] = lambda p: "" if p is None else f"{p:.2g}"
    environment.filters["short"] = _short
    environment.filters["short_tags"] = _short_tags
    return environment


def _visible(value: object) -> object:
    """Show control characters, and those that change the text direction, as escapes."""
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


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _short_tags(tags: str, longest: int = 44) -> str:
    """Shorten the long tags of a set, so that all of them can still be told apart."""
    names = tags.split(" + ")
    most = min(longest, max(map(len, names)))
    while most > 4 and sum(min(len(name), most) + 3 for name in names) - 3 > longest:
        most -= 1
    return " + ".join(_short(name, most) for name in names)
