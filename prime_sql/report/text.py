"""A report in words: the sentences of the page, and the whole as text for an email."""

from __future__ import annotations

from typing import Any

from prime_sql.engine.rows import printable
from prime_sql.report.data import Change, PastRun, ReportData

_CHANGES = 5  # of each kind, in the text


def text(report: ReportData) -> str:
    """Return what matters as text; see `Report.to_text`."""
    search, headline = report.search, report.headline
    lines = [
        f"Failure modes of run {search.run_id}, {search.created_at[:16].replace('T', ' ')} UTC",
        "",
        f"{searched(report)}.",
        f"{definition(search.options)}.",
        *(f"Warning: {warning}" for warning in search.warnings),
        "",
        *(f"{sentence}." for sentence in result(report)),
    ]
    if headline.cover:
        lines.append("")
    for pick in headline.cover:
        lines += [
            f"{pick.rank:>3}. {pick.class_name}: {pick.tags}",
            f"     accuracy {pick.accuracy:.1%} on {pick.images:,} images, "
            f"{pick.accuracy_drop * 100:.0f} points below its class; "
            f"{pick.cumulative_coverage:.0%} of errors so far",
        ]
    if report.unseen is not None:
        lines += ["", report.unseen.sentence]
    lines += ["", f"{since(report)}."]
    for status in ("new", "fixed"):
        changes = [each for each in changes_of(report) if each.status == status]
        lines += [
            f"  {status}: {each.class_name}: {each.tags}, accuracy "
            f"{_percent(each.accuracy_before)} → {_percent(each.accuracy)}"
            for each in changes[:_CHANGES]
        ]
        if (more := len(changes) - _CHANGES) > 0:
            lines.append(f"  and {more:,} more {status} ones")
    return "\n".join(map(printable, lines)) + "\n"


def searched(report: ReportData) -> str:
    """Say what was searched, in a sentence without its full stop."""
    headline, sources = report.headline, report.search.sources
    accuracy = "" if headline.accuracy is None else f", accuracy {headline.accuracy:.1%}"
    names = ", ".join(f"{name} from {where}" for name, where in sources.items())
    return (
        f"{_count(headline.images, 'image')} in {_count(headline.classes, 'class', 'classes')}, "
        f"{_count(headline.errors, 'error')}{accuracy}{'; ' if names else ''}{names}"
    )


def definition(options: dict[str, Any]) -> str:
    """Say what was looked for."""
    most = options["max_tags"]
    tags = "single tags" if most == 1 else f"sets of up to {most} tags"
    text = (
        f"Looked for {tags} that at least {_count(options['min_images'], 'image')} of a class "
        f"carry and on which accuracy is at least {options['min_drop'] * 100:g} points below "
        "that of the class"
    )
    text += "" if most == 1 else ", each tag being necessary"
    if options.get("max_q") is not None:
        text += f", at a q-value of at most {options['max_q']:g}"
    if options.get("method") == "greedy":
        text += "; the search was greedy, so some may be missing"
    return text


def result(report: ReportData) -> list[str]:
    """Say what was found, in sentences without their full stops."""
    headline = report.headline
    if not headline.failure_modes:
        note = (report.search.note or "").strip().rstrip(".")
        return ["No failure modes", *([note] if note else [])]
    found = _count(headline.failure_modes, "failure mode")
    if headline.near_duplicates:
        found += f", {headline.near_duplicates:,} of them near-duplicates of a better one"
    share = headline.mode_errors / headline.errors
    sentences = [f"{found}; {share:.0%} of {_count(headline.errors, 'error')} are in at least one"]
    if headline.cover:
        few, explained = len(headline.cover), headline.cover[-1].cumulative_coverage
        which = f"The {few} that explain most have" if few > 1 else "The one that explains most has"
        rest = "; no other mode explains any further errors" if headline.complete else ""
        sentences.append(f"{which} {explained:.0%} of the errors{rest}")
    return sentences


def since(report: ReportData) -> str:
    """Say what changed since the previous run, in a sentence without its full stop."""
    history = report.history
    if history is None:
        return "There is no earlier run of this kind to compare with"
    counts = ", ".join(
        f"{number:,} {status}"
        for number, status in (
            (history.new, "new"),
            (history.persisting, "persisting"),
            (history.fixed, "fixed"),
            (history.undecided, "undecided"),
        )
    )
    return f"Failure modes since run {history.previous.run_id}, {day(history.previous)}: {counts}"


def changes_of(report: ReportData) -> tuple[Change, ...]:
    """Return all modes of this run and the previous one; none if there is no previous one."""
    return () if report.history is None else report.history.changes


def day(run: PastRun) -> str:
    """Return when a run was made, for people."""
    return f"{run.created_at[:16].replace('T', ' ')} UTC"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.1%}"


def _count(number: int, thing: str, things: str = "") -> str:
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
