"""``prime-sql gate``, and the gates of ``prime-sql search``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import prime_sql as ps
from prime_sql.cli.app import Command, Db, Quiet, RunOption, Wait, app, reports_errors, say
from prime_sql.engine import files
from prime_sql.engine.defaults import NO_WAIT
from prime_sql.engine.errors import OptionError

if TYPE_CHECKING:
    from prime_sql.questions.gates import Gate, Outcome

GATES = "Gates"  # section of a command's help

FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="new|SQL",
        help="Exit with status 1 if a failure mode is new since the previous run, or meets a "
        'condition such as "accuracy_drop > 0.4 and images >= 50". Undecided ones never trip a '
        "gate. May be repeated.",
        rich_help_panel=GATES,
        show_default=False,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Write the outcomes of the gates as JUnit XML.",
        rich_help_panel=GATES,
        show_default=False,
    ),
]
Summary = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Append the failure modes and the outcomes of the gates as GitHub-flavoured "
        'Markdown, as in --summary "$GITHUB_STEP_SUMMARY".',
        rich_help_panel=GATES,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Asked:
    """The gates of a command, and where their outcomes go."""

    gates: list[Gate]
    junit: Path | None
    summary: Path | None

    def judge(self, run: ps.Run, *, quiet: bool = False) -> None:
        """Print and write the outcomes of the gates, and exit with status 1 if one tripped.

        Raises
        ------
        WarehouseError
            When a file cannot be written; the outcomes are printed before.
        """
        from prime_sql.questions import gate_files, gates

        outcomes = gates.judge(run, self.gates)
        show_outcomes(outcomes, quiet=quiet)
        if self.junit is not None:
            files.write_text(gate_files.junit(run, outcomes), self.junit)
        if self.summary is not None:
            files.append_text(gate_files.markdown(run, outcomes), self.summary)
        if any(outcome.tripped for outcome in outcomes):
            raise typer.Exit(1)


def show_outcomes(outcomes: list[Outcome], *, quiet: bool) -> None:
    """Print the outcomes of gates; if quiet, not of those that passed."""
    for outcome in outcomes:
        if outcome.tripped or outcome.note is not None or not quiet:
            style = "bold red" if outcome.tripped else "yellow" if outcome.note else "bold"
            say("\n".join(outcome.lines()), label="Gate", style=style)


def asked(fail_on: list[str] | None, junit: Path | None, summary: Path | None) -> Asked:
    """Check the options about gates, before the work."""
    if junit is not None and not fail_on:
        raise OptionError("--junit says which gates tripped: add --fail-on")
    for file in (junit, summary):
        if file is not None:
            files.check_place(file, append=file is summary)
    if not fail_on:
        return Asked([], junit, summary)
    from prime_sql.questions import gates

    return Asked([gates.parse(text) for text in fail_on], junit, summary)


@app.command(
    cls=Command,
    epilog="""
    prime-sql gate prime.duckdb --fail-on new
    prime-sql gate prime.duckdb --fail-on "accuracy_drop > 0.4 and images >= 50" --junit gates.xml
    prime-sql gate prime.duckdb --fail-on "verdict = 'holds' and status = 'new'"
    """,
)
@reports_errors
def gate(
    db: Db,
    fail_on: FailOn = None,
    junit: Junit = None,
    summary: Summary = None,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    quiet: Quiet = False,
) -> None:
    """Judge the failure modes of a stored run: exit with status 1 if a gate trips."""
    if not fail_on:
        raise OptionError("give one or more gates: --fail-on new, or --fail-on with a condition")
    wanted = asked(fail_on, junit, summary)
    files.check_apart({"--junit": junit, "--summary": summary}, {"DB": db})
    with ps.open_run(db, run, wait=wait) as opened:
        wanted.judge(opened, quiet=quiet)
