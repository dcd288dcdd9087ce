"""``prime-sql report``: a run as one page, as JSON or as text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import prime_sql as ps
from prime_sql.cli.app import (
    RESULTS,
    Command,
    Db,
    Quiet,
    RunOption,
    Wait,
    app,
    reports_errors,
    say,
    write_out,
)
from prime_sql.engine.defaults import CARDS, MOST, NO_WAIT, RUNS, TOP
from prime_sql.engine.errors import OptionError
from prime_sql.engine.files import check_apart, check_place, write_text
from prime_sql.engine.places import shown


class Form(StrEnum):
    """The formats of a report."""

    html = "html"
    json = "json"
    text = "text"


_ENDINGS = {".html": Form.html, ".htm": Form.html, ".json": Form.json, ".txt": Form.text}


@app.command(
    cls=Command,
    epilog="""
    prime-sql report prime.duckdb
    prime-sql report prime.duckdb -o report.html
    prime-sql report prime.duckdb -o report.json --cards 200
    """,
)
@reports_errors
def report(
    db: Db,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to this file: .html for a self-contained page, .json or .txt. Standard "
            "output if left out.",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="Format of the report; by the file's ending if left out, text without a file.",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "-n",
            "--top",
            min=1,
            max=MOST,
            help="How many failure modes the headline lists: those that explain most errors.",
        ),
    ] = TOP,
    cards: Annotated[
        int,
        typer.Option(
            min=0, max=MOST, help="How many failure modes get a card, with subsets, images and SQL."
        ),
    ] = CARDS,
    runs: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST,
            help="How many of the last comparable runs each mode is followed through.",
        ),
    ] = RUNS,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    quiet: Quiet = False,
) -> None:
    """Write a report of a run: what was found, mode by mode, for people to look at."""
    form = _form(output, format_, db)
    with ps.open_run(db, run, wait=wait) as opened:
        collected = opened.report(top=top, cards=cards, thumbnails=form is not Form.text, runs=runs)
    if form is Form.html:
        text = collected.to_html()
    elif form is Form.json:
        text = collected.to_json() + "\n"
    else:
        text = collected.to_text()
    if output is None:
        write_out(text)
        return
    write_text(text, output)
    if not quiet:
        modes = len(collected.modes)
        many = "" if modes == 1 else "s"
        say(f"Wrote {output}: {modes:,} failure mode{many} of run {collected.search.run_id}.")


def _form(file: Path | None, form: Form | None, db: str) -> Form:
    """Return the format of the report, checked before the work, so that none is lost."""
    if file is None:
        return form or Form.text
    if form is None:
        form = _ENDINGS.get(file.suffix.lower())
        if form is None:
            raise OptionError(
                f"cannot write {shown(file)}: name a file that ends in .html, .json or .txt, "
                "or give --format"
            )
    check_place(file)
    check_apart({"--output": file}, {"DB": db})
    return form
