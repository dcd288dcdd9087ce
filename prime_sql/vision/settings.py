"""What a model's results depend on: its files by their content, its settings beside the results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.errors import OptionError
from prime_sql.engine.session import Session

# What earlier versions did not note: their results are not refused for it.
LATER = ("code",)


def settle(
    session: Session,
    step: str,
    table: str,
    model: str,
    settings: dict[str, Any],
    *,
    replace: bool = False,
    write: str | None = None,
) -> None:
    """Note the settings of a model, so that results of two settings are never mixed in a table.

    Parameters
    ----------
    warehouse, step, table, model
        Where its results go, under which name.
    settings
        What they depend on.
    replace
        Remove the model's results so far.
    write
        A script that writes its new results, in the same transaction.

    Raises
    ------
    OptionError
        When there are results with other settings, and they must not be replaced.
    """
    written = json.dumps(settings, sort_keys=True, default=str)
    done, column = ("tagged_images", "tagger") if step == "tag" else (table, "model")
    results = f"from {queries.identifier(done)} where {column} = {queries.literal(model)} limit 1"
    place = f"table_name = {queries.literal(table)} and model = {queries.literal(model)}"
    known = session.execute("settings", f"select settings from model_settings where {place}")
    before = json.loads(known[0][0]) if known else {}
    now = json.loads(written)
    changed = [
        key
        for key in {**before, **now}
        if before.get(key) != now.get(key) and (key in before or key not in LATER)
    ]
    if known and changed and not replace and session.execute("settings", results):
        raise OptionError(
            f"{table} holds results of {model} with other settings ({', '.join(sorted(changed))}); "
            f"`prime-sql {step} --replace` recomputes them, --name keeps both"
        )
    with session.transaction():
        if replace:
            forget(session, step, table, model)
        session.execute("settings", f"delete from model_settings where {place}")
        row = ", ".join(queries.literal(value) for value in (step, table, model, written))
        session.execute("settings", f"insert into model_settings values ({row})")
        if write is not None:
            session.script(step, write)


def forget(session: Session, step: str, table: str, model: str) -> None:
    """Remove a model's results so far; part of the caller's transaction."""
    column = "tagger" if step == "tag" else "model"
    for name in [table, "tagged_images"] if step == "tag" else [table]:
        session.execute(
            step,
            f"delete from {queries.identifier(name)} where {column} = {queries.literal(model)}",
        )


def fingerprint(*paths: Path | None) -> str:
    """Return a SHA-256 of files, and of all files in folders except hidden ones."""
    digest = hashlib.sha256()
    for path in paths:
        inside = path is not None and path.is_dir()
        for file in sorted(path.rglob("*")) if path and inside else [path] if path else []:
            if file.is_file() and not file.name.startswith("."):
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
