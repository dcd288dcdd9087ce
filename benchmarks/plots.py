"""How cost grows, as two SVG files drawn from the numbers of ``benchmarks/peers.json``."""

from __future__ import annotations

import importlib
from html import escape
from typing import Any

# Told apart on white and on black, and by shape.
SHOWN = {
    "prime_sql": ("#2a78c2", "circle"),
    "NumPy reference": ("#8a8f98", "square"),
    "mlxtend fpgrowth": ("#c8431f", "triangle-up"),
    "pysubgroup, on errors": ("#2f9e5b", "diamond"),
    "divexplorer": ("#a05ad0", "cross"),
}


def draw(document: dict[str, Any]) -> dict[str, str]:
    """Return SVG by file name, of what was measured: time against images, and against tags."""
    drawn = {}
    for grows, title in (("images", "images"), ("tags", "tags an image")):
        points = _points(document, grows)
        if points:
            drawn[f"time_by_{grows}"] = _svg(points, grows, title)
    return drawn


def _points(document: dict[str, Any], grows: str) -> list[dict[str, Any]]:
    return [
        {"x": int(r["data"].rpartition("-")[2]), "seconds": r["seconds"], "tool": r["tool"]}
        for r in document["results"]
        if r["data"].startswith(f"{grows}-") and r["state"] == "done" and r["tool"] in SHOWN
    ]


def caption(points: list[dict[str, Any]], title: str) -> str:
    """What a plot shows, in words."""
    said = []
    for tool in SHOWN:
        own = sorted((p["x"], p["seconds"]) for p in points if p["tool"] == tool)
        if own:
            (first, least), (last, most) = own[0], own[-1]
            more = f" and {most:.3g} s at {last:,}" if last > first else ""
            said.append(f"{tool} {least:.3g} s at {first:,}{more}")
    return f"Seconds of a search against {title}, both on log scales: {'; '.join(said)}."


def _svg(points: list[dict[str, Any]], grows: str, title: str) -> str:
    alt = importlib.import_module("altair")
    convert = importlib.import_module("vl_convert")
    tools = [tool for tool in SHOWN if any(p["tool"] == tool for p in points)]
    ticks = sorted({p["x"] for p in points})
    chart = (
        alt.Chart(alt.Data(values=points), width=480, height=260)
        .mark_line(point={"filled": True, "size": 60}, strokeWidth=2)
        .encode(
            x=alt.X(
                "x:Q",
                title=title,
                scale=alt.Scale(type="log", nice=False),
                axis=alt.Axis(values=ticks, format=",d"),
            ),
            y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), axis=alt.Axis(format="~g")),
            color=alt.Color(
                "tool:N",
                title=None,
                scale=alt.Scale(domain=tools, range=[SHOWN[tool][0] for tool in tools]),
            ),
            shape=alt.Shape(
                "tool:N",
                title=None,
                scale=alt.Scale(domain=tools, range=[SHOWN[tool][1] for tool in tools]),
            ),
        )
    )
    # An SVG file in a README does not know the page's colours: grey is read on white and on black.
    grey = "#808890"
    # Nor do we know a reader's fonts: a wider one than ours must not end at the edge.
    padding = {"left": 5, "top": 5, "right": 40, "bottom": 5}
    chart = (
        chart.properties(background="transparent", padding=padding)
        .configure(font="system-ui, sans-serif")
        .configure_axis(
            labelColor=grey,
            titleColor=grey,
            gridColor=grey,
            gridOpacity=0.2,
            domainColor=grey,
            tickColor=grey,
            titleFontWeight="normal",
        )
        .configure_legend(labelColor=grey, labelFontSize=12)
        .configure_view(stroke=None)
    )
    svg = str(convert.vegalite_to_svg(chart.to_dict()))
    head = f'<svg role="img" aria-labelledby="time-by-{grows}" '
    label = f'<title id="time-by-{grows}">{escape(caption(points, title))}</title>'
    svg = svg.replace("<svg ", head, 1)
    end = svg.index(">") + 1
    return svg[:end] + label + svg[end:] + "\n"
