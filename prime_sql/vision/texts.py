"""Texts from a file or a table: a vocabulary of tags, or captions, or synonyms."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from prime_sql.engine.errors import (
    InputError,
    OptionError,
    did_you_mean,
    shorten_list,
)
from prime_sql.engine.open_source import open_source
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Wanted, describe

TEXT_FILES = (".txt", ".text", ".lst")
COLUMNS = ("text", "tag", "name")


def load_texts(source: Any, column: str | None, name: str, session: Session) -> int:
    """Make the session's relation `name` (text): every different text once, sorted.

    Parameters
    ----------
    source
        A text file with one text per line, a list of texts, or a table in any form that
        `prime_sql.search` takes.
    column
        The table's column, of texts or lists of texts; ``text``, ``tag`` or ``name`` if left out.

    Returns
    -------
    int
        The number of texts.

    Raises
    ------
    InputError
        When the source cannot be read or has no text.
    """
    if isinstance(source, (list, tuple)):
        lines = [str(text) for text in source if text is not None]
    elif isinstance(source, (str, os.PathLike)) and str(source).lower().endswith(TEXT_FILES):
        lines = _lines(Path(source), name)
    else:
        opened = open_source(source, name, session, _wanted(column))
        found = next((c for c in ([column] if column else COLUMNS) if c in opened.columns), None)
        if found is None:
            missing = column or COLUMNS[0]
            raise InputError(
                f"{name} ({describe(source)}) has no column {missing!r}."
                f"{did_you_mean(missing, opened.columns)} It has: {shorten_list(opened.columns)}."
            )
        texts = opened.table[found]
        texts = texts.unnest() if texts.type().is_array() else texts
        table = opened.table.select(text=texts.cast("string"))
        lines = None
    if lines is not None:
        table = ibis.memtable(pa.table({"text": pa.array(lines, pa.string())}))
    text = table.text.strip()
    table = table.select(text=text).filter(text != "").distinct().order_by("text")
    session.create_from(name, table)
    count = int(session.execute(name, f"select count(*) from temp.{name}")[0][0])
    if not count:
        raise InputError(f"{name} ({describe(source)}) holds no text")
    return count


def _wanted(column: str | None) -> Wanted:
    return Wanted(frozenset([column] if column else COLUMNS))


def _lines(path: Path, name: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot read {path} as UTF-8 text: {error}") from error


def check_template(template: str) -> None:
    """Refuse a prompt that has no place for the text.

    Raises
    ------
    OptionError
        When ``{}`` does not occur in it exactly once.
    """
    if template.count("{}") != 1:
        raise OptionError(
            f'template must hold {{}} once, as in "a photo of {{}}", got {template!r}'
        )
