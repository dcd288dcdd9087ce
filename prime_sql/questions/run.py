"""A run, and everything that can be asked of it.

Each method is the function of the same name in a module beside this one, or on the floor below:
its signature and docstring are there.
"""

from __future__ import annotations

from prime_sql.discovery import append, refilter
from prime_sql.discovery.stored import StoredRun
from prime_sql.engine.relation import Relation
from prime_sql.questions import (
    ask,
    chance,
    collect,
    explain,
    history,
    pick,
    rank,
    success,
    sweep,
    validation,
    weights,
)


class Run(StoredRun):
    """One complete run in a database; its tables and attributes are those of `StoredRun`."""

    query = ask.query
    # Other thresholds, more images.
    refilter = refilter.refilter
    append = append.append
    # What the failure modes are worth.
    chance, null = chance.chance, chance.null
    validate = validation.validate
    missed, success_modes = success.missed, success.success_modes
    # Which of them matter, and why.
    cover, overlaps, families = rank.cover, rank.overlaps, rank.families
    explain = explain.explain
    sweep = sweep.sweep
    report = collect.report
    # What to do about them.
    pick = pick.pick
    weights = weights.weights
    # What changed.
    history = history.history

    @property
    def validation(self) -> validation.Validation | None:
        """The latest check on unseen data, or None if there is none.

        A refiltered run has none, even if the run that it came from has, until `validate` is called
        on it.
        """
        return validation.stored(self)

    @property
    def previous(self) -> Run | None:
        """The run that this one is compared with, or None if it is the first.

        It is the latest earlier one in the database of the same job and the same options; of runs
        without a job, the latest one without a job whose predictions came from the same place.
        """
        return history.previous(self)

    @property
    def changes(self) -> Relation | None:
        """What changed since the previous run: rows of `compare`, or None without such a run.

        The previous run is A, this one is B.
        """
        return history.changes(self)
