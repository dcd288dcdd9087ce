"""Outcomes of gates as files: JUnit for CI servers, Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import polars as pl

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine.rows import Format, printable, render
from prime_sql.questions.gates import Outcome, count_modes, described, mode_name

_MOST_LISTED = 50  # a step's summary on GitHub has a limit of 1 MiB


def junit(run: StoredRun, outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as JUnit XML, which CI servers show as tests.

    Each gate is a test suite. A tripped one has a failed test case for each mode that trips it; any
    other has one test case, passed, or skipped if the gate cannot trip.
    """
    suites = ElementTree.Element("testsuites", name="prime-sql")
    for outcome in outcomes:
        suite = ElementTree.SubElement(suites, "testsuite", name=printable(outcome.gate.text))
        for row in outcome.modes.to_dicts():
            case = _case(suite, mode_name(row))
            failure = ElementTree.SubElement(
                case, "failure", message=described(row), type="failure mode"
            )
            failure.text = "\n".join(
                f"{column}: {printable(str(value))}"
                for column, value in row.items()
                if value is not None
            )
        if not outcome.tripped:
            case = _case(suite, "no failure mode")
            if outcome.note is not None:
                ElementTree.SubElement(case, "skipped", message=printable(outcome.note))
        _set_counts(suite)
        suite.set("timestamp", run.created_at.isoformat(timespec="seconds"))
    _set_counts(suites)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    # Servers tell test cases apart by class and name, and split a class at its dots into packages.
    full = f"{suite.get('name')}: {name}"
    return ElementTree.SubElement(suite, "testcase", classname="prime-sql", name=full, time="0")


def _set_counts(element: ElementTree.Element) -> None:
    element.set("tests", str(len(element.findall(".//testcase"))))
    element.set("failures", str(len(element.findall(".//failure"))))
    element.set("errors", "0")
    if element.tag == "testsuite":
        element.set("skipped", str(len(element.findall(".//skipped"))))
    element.set("time", "0")


def markdown(run: StoredRun, outcomes: Sequence[Outcome] = ()) -> str:
    """Return a run and the outcomes of its gates as GitHub-flavoured Markdown."""
    modes = run.failure_modes.to_polars()
    tripped = [outcome for outcome in outcomes if outcome.tripped]
    title = f"{count_modes(modes.height)} in run {run.run_id}"
    if outcomes:
        title += f": {len(tripped):,} of {len(outcomes):,} gates tripped" if tripped else ": passed"
    parts = [f"### {title[0].upper()}{title[1:]}"]
    if outcomes:
        rows = {
            "gate": [outcome.gate.text for outcome in outcomes],
            "outcome": [_result(outcome) for outcome in outcomes],
            "failure modes": [outcome.modes.height for outcome in outcomes],
            "undecided": [outcome.undecided for outcome in outcomes],
        }
        parts.append(render(pl.DataFrame(rows), Format.markdown))
    if modes.height:
        by: dict[str, list[str]] = {mode_id: [] for mode_id in modes["mode_id"]}
        for outcome in tripped:
            for mode_id in outcome.modes["mode_id"]:
                by[mode_id].append(outcome.gate.text)
        modes = modes.with_columns(pl.Series("trips", ["; ".join(by[i]) for i in by], pl.String))
        shown = modes.sort(pl.col("trips") == "", maintain_order=True).head(_MOST_LISTED)
        table = shown.select(
            *(["trips"] if tripped else []),
            pl.col("class_name").alias("class"),
            "tags",
            "images",
            "errors",
            *(
                (pl.col(name) * 100).round(1).cast(pl.String) + " %"
                for name in ("accuracy", "class_accuracy", "accuracy_drop")
            ),
        )
        parts.append(render(table.rename(lambda name: name.replace("_", " ")), Format.markdown))
        if modes.height > shown.height:
            parts.append(f"The other {modes.height - shown.height:,} are in the database.")
    elif run.note:
        parts.append(render(pl.DataFrame({"why": [run.note]}), Format.markdown))
    return "\n\n".join(parts) + "\n"


def _result(outcome: Outcome) -> str:
    if outcome.note is not None:
        return f"cannot trip: {outcome.note}"
    return "tripped" if outcome.tripped else "passed"
