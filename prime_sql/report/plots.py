"""The plots of a report: static SVG that Vega-Lite draws, in the colours of the page."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

from prime_sql.report.data import Mode, ReportData

_LACKING = "Plots are left out: they need Altair. Install it: pip install 'prime-sql[report]'."
_VERDICTS = ("holds", "fails", "undecided")
_COLOURS = ("#2a78c2", "#c8431f", "#8a8f98")  # distinct on white and on black, and in grey


_MOST_POINTS = 1000

Points = Counter[tuple[float, float, str | None]]


@dataclass(frozen=True)
class Figure:
    """A plot, and what it shows, in words."""

    svg: Markup
    caption: str


def draw(report: ReportData) -> tuple[dict[str, Figure], str]:
    """Return the plots by name, and why there are none if Altair is not installed."""
    cover = report.headline.cover
    points = [mode for mode in report.modes if mode.unseen_accuracy_drop is not None]
    if len(cover) < 2 and not points:
        return {}, ""
    try:
        alt = importlib.import_module("altair")
        convert = importlib.import_module("vl_convert")
    except ModuleNotFoundError:
        return {}, _LACKING
    figures = {}
    if len(cover) > 1:
        last = cover[-1]
        caption = (
            f"Share of all errors that the first failure modes of the list have together: "
            f"{cover[0].cumulative_coverage:.0%} with the first, "
            f"{last.cumulative_coverage:.0%} with all {len(cover)}."
        )
        figures["cover"] = _figure(alt, convert, _cover(alt, report), "cover", caption)
    if points:
        counted, step = _rounded(points)
        caption = (
            "Accuracy drop of each failure mode where it was found, and on unseen data. "
            f"On the diagonal both are the same. Points are rounded to {step} percentage "
            f"point{'' if step == 1 else 's'}; larger ones are several modes."
        )
        chart = _unseen(alt, counted)
        figures["unseen"] = _figure(alt, convert, chart, "unseen", caption)
    return figures, ""


def _cover(alt: Any, report: ReportData) -> Any:
    values = [
        {"modes": pick.rank, "share": pick.cumulative_coverage} for pick in report.headline.cover
    ]
    base = alt.Chart(alt.Data(values=values), width=520, height=180)
    x = alt.X("modes:O", title="failure modes", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y(
        "share:Q",
        title="share of all errors",
        axis=alt.Axis(format="%", tickCount=5),
        scale=alt.Scale(domainMin=0),
    )
    return base.mark_bar(color=_COLOURS[0]).encode(x=x, y=y)


def _rounded(modes: list[Mode]) -> tuple[Points, int]:
    """Count modes by verdict and drops, rounded as coarsely as it takes to keep the plot small."""
    for step in (1, 2, 5):
        counted = Counter(
            (
                round(mode.accuracy_drop * 100 / step) * step / 100,
                round((mode.unseen_accuracy_drop or 0) * 100 / step) * step / 100,
                mode.verdict,
            )
            for mode in modes
        )
        if len(counted) <= _MOST_POINTS:
            break
    return counted, step


def _unseen(alt: Any, counted: Points) -> Any:
    values: list[dict[str, Any]] = [
        {"found": found, "unseen": unseen, "verdict": verdict, "modes": modes}
        for (found, unseen, verdict), modes in sorted(counted.items())
    ]
    least = min(0.0, *(value["unseen"] for value in values))
    most = max(*(value["unseen"] for value in values), *(value["found"] for value in values))
    axis = alt.Axis(format="%", tickCount=6)
    points = (
        alt.Chart(alt.Data(values=values), width=420, height=320)
        .mark_point(filled=True, opacity=0.75)
        .encode(
            x=alt.X(
                "found:Q",
                title="accuracy drop as found",
                axis=axis,
                scale=alt.Scale(domain=[0, most]),
            ),
            y=alt.Y(
                "unseen:Q",
                title="accuracy drop on unseen data",
                axis=axis,
                scale=alt.Scale(domain=[least, most]),
            ),
            color=alt.Color(
                "verdict:N",
                title=None,
                scale=alt.Scale(domain=list(_VERDICTS), range=list(_COLOURS)),
            ),
            shape=alt.Shape(
                "verdict:N",
                title=None,
                scale=alt.Scale(domain=list(_VERDICTS), range=["circle", "cross", "square"]),
            ),
            size=alt.Size("modes:Q", legend=None, scale=alt.Scale(range=[40, 200])),
        )
    )
    ends = [{"found": max(0.0, least), "unseen": max(0.0, least)}, {"found": most, "unseen": most}]
    diagonal = (
        alt.Chart(alt.Data(values=ends))
        .mark_line(strokeDash=[4, 4], color="currentColor", opacity=0.5)
        .encode(x="found:Q", y="unseen:Q")
    )
    return diagonal + points


def _figure(alt: Any, convert: Any, chart: Any, name: str, caption: str) -> Figure:
    chart = (
        chart.properties(background="transparent")
        .configure(font="system-ui, sans-serif")
        .configure_axis(
            labelColor="currentColor",
            titleColor="currentColor",
            gridColor="currentColor",
            gridOpacity=0.12,
            domainColor="currentColor",
            tickColor="currentColor",
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=12,
        )
        .configure_legend(labelColor="currentColor", labelFontSize=11)
        .configure_view(stroke=None)
    )
    svg = str(convert.vegalite_to_svg(chart.to_dict()))
    head = f'<svg role="img" aria-labelledby="{name}-title" '
    title = f'<title id="{name}-title">{escape(caption)}</title>'
    svg = svg.replace("<svg ", head, 1)
    end = svg.index(">") + 1
    return Figure(Markup(svg[:end] + title + svg[end:]), caption)  # Vega escapes its text
