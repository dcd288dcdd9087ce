"""Which options of ``prime-sql search`` do not go together, found before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prime_sql.cli.app import flag
from prime_sql.cli.gate import Asked
from prime_sql.engine.errors import OptionError

# What --from-run can change; everything else decides what was counted.
THRESHOLDS = ("max_tags", "min_images", "min_drop", "necessity", "min_tag_images", "max_q")


def check_missed(missed: bool, method: str, models: str | None, max_q: float | None) -> None:
    """Refuse ``--missed`` where no single greedy search of all failure modes is made."""
    if missed and (models is not None or max_q is not None):
        other = "--models" if models is not None else "--max-q"
        raise OptionError(f"--missed does not go with {other}")
    if missed and method != "greedy":
        raise OptionError("--missed is for a greedy search; add --method greedy")


def check_gates(wanted: Asked, place: str | None, check: str | None) -> None:
    """Refuse gates about what this search will not know."""
    for gate in wanted.gates:
        if gate.needs_previous and place is None:
            raise OptionError(f"the gate {gate.text!r} is about the previous run: give --db")
        if gate.needs_validation and check is None:
            raise OptionError(
                f"the gate {gate.text!r} is about unseen data: give --split, --find and --check"
            )


def check_append(
    append: bool, remove: str | None, db: Path | None, from_run: str | None, models: str | None
) -> None:
    """Refuse what does not go with ``--append``, and ``--remove`` without it."""
    if not append:
        if remove is not None:
            raise OptionError("--remove names images of an earlier run: add --append")
        return
    if from_run is not None or models is not None:
        other = "--from-run" if from_run is not None else "--models"
        raise OptionError(f"--append does not go with {other}")
    if db is None:
        raise OptionError("--append adds to a stored run: name its database with --db")


def check_models(
    fail_on: list[str] | None,
    summary: Path | None,
    warehouse: str | None,
    from_run: str | None,
    predictions: str | None,
    tags: str | None,
) -> None:
    """Refuse what does not go with ``--models``."""
    if fail_on or summary is not None:
        raise OptionError(
            "gates and summaries are for one run: judge those of --models with "
            "prime-sql gate DB --run N"
        )
    if warehouse is not None:
        raise OptionError("--models does not go with --warehouse: search each one with --where")
    if from_run is not None or predictions is None or tags is None:
        raise OptionError("--models searches tables: give PREDICTIONS and TAGS, and no --from-run")


def check_from_run(
    from_run: str,
    place: str | None,
    predictions: str | None,
    chosen: dict[str, Any],
    memory_limit: str | None,
    temp_dir: Path | None,
) -> None:
    """Refuse what ``--from-run`` cannot do: nothing is counted again."""
    if memory_limit is not None or temp_dir is not None:
        raise OptionError(
            "--memory-limit and --temp-dir are for counting, and --from-run counts "
            "nothing; leave them out"
        )
    if place is None or predictions is not None:
        raise OptionError("--from-run reads a stored run: give it --db, and no tables")
    if from_run != "latest" and not from_run.isdecimal():
        raise OptionError(f"--from-run takes the number of a run, or latest, got {from_run!r}")
    for name in chosen:
        if name not in THRESHOLDS:
            raise OptionError(
                f"{flag(name)} changes what is counted; leave --from-run out to count again"
            )


def place_of(db: Path | None, warehouse: str | None, schema: str | None) -> str | None:
    """Return where the run is stored, as `prime_sql.open_run` takes it; None if it is not."""
    if warehouse is None:
        if schema is not None:
            raise OptionError("--schema is for a --warehouse: add it")
        return None if db is None else str(db)
    if db is not None:
        raise OptionError("--db and --warehouse are two places for one run: give one of them")
    if "://" not in warehouse:
        raise OptionError(
            f"--warehouse takes a URL such as postgres://user@host/database, got {warehouse!r}"
        )
    return warehouse if schema is None else f"{warehouse.partition('#')[0]}#{schema}"
