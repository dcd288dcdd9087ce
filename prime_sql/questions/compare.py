"""Two runs, mode by mode: what is new, what is fixed, what persists."""

from __future__ import annotations

import ibis
import pyarrow as pa

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.errors import QueryError, warn
from prime_sql.engine.options import LARGEST_MAX_TAGS, grouping
from prime_sql.engine.relation import Relation
from prime_sql.engine.session import OnSql, Session

_MAX_Q = 0.05

# These may differ between two runs, but change which tag sets are failure modes.
_THRESHOLDS = (
    "max_tags",
    "min_images",
    "min_drop",
    "necessity",
    "min_tag_images",
    "max_absent",
    "max_q",
    "method",
    "width",
    "min_score",
    "present",
    "split_tags",
    "normalise_tags",
)


def compare(a: StoredRun, b: StoredRun, *, on_sql: OnSql | None = None) -> Relation:
    """Compare the failure modes of two runs: another model, another slice, another day.

    Every mode of either run is one row; a mode is the same in both if its class and tags are
    (its ``mode_id``). Its images are also counted in the run where it is not a failure mode.

    Parameters
    ----------
    a, b
        The run before and the run after; they may be in different databases.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        status, mode_id, class_name, tags, tag_count; images, errors and accuracy in A and in B
        (``images_a``, …); accuracy_change (B − A) and its 95 % interval, change_low to change_high
        (Newcombe's hybrid score interval); p_value (Fisher's exact test, two-sided), q_value
        (Benjamini–Hochberg over all modes that are not undecided); class_accuracy and
        accuracy_drop in A and in B; is_mode_a and is_mode_b.

    Raises
    ------
    QueryError
        When the runs differ in what a class or an error is.

    Warns
    -----
    InputWarning
        When they differ in their thresholds: a mode may then be missing from a run that did not
        look for it.

    Notes
    -----
    The status is one of the following; `min_drop` and `min_images` are those of the run that found
    the mode.

    - ``persisting``: a failure mode in both; or in one of them, and in the other one neither
      clearly gone nor undecided.
    - ``fixed``: a failure mode in A and not in B, where its drop is below half of `min_drop`; or
      below `min_drop`, and accuracy rose significantly (q ≤ 0.05). A mode that misses the
      threshold by a hair is thus not fixed.
    - ``new``: a failure mode in B and not in A, by the same rule: in A its drop was below half of
      `min_drop`; or below `min_drop`, and accuracy fell significantly.
    - ``undecided``: a failure mode in one run; in the other one the class is missing, a tag is not
      frequent in it, or fewer than `min_images` images carry the tags.

    Interval and test treat the images of A and B as independent samples. Where both runs judge the
    same images, they usually err on the careful side. A mode was chosen for its low accuracy in
    the run that found it, so on new images some of its recovery is chance.
    """
    _check(a, b)
    with_tags = pa.concat_tables([mode_tags(a), mode_tags(b)])
    counted = [counts(run, with_tags, on_sql) for run in (a, b)]
    with a.session(on_sql) as session:
        load_wanted(session, with_tags)
        for name, table in zip(("counts_a", "counts_b"), counted, strict=True):
            session.create_from(name, ibis.memtable(table))
        session.step(
            "questions/compare/sides",
            min_images_a=a.options.min_images,
            min_images_b=b.options.min_images,
            min_drop_a=a.options.min_drop,
            min_drop_b=b.options.min_drop,
        )
        most = "select coalesce(max(least(images_a, errors_a + errors_b)), 0) from sides"
        session.step("questions/compare/numbers", most=session.execute("numbers", most)[0][0])
        session.step("questions/compare/tests")
        changes = queries.find("questions/compare/changes").render(max_q=_MAX_Q)
        return Relation.of(session.fetch("changes", changes))


def _check(a: StoredRun, b: StoredRun) -> None:
    """Refuse runs that define class or error differently; warn of different thresholds."""
    for what, name, one, other in (
        ("classes", "group_by", grouping(a.options), grouping(b.options)),
        ("errors", "error", a.options.error, b.options.error),
    ):
        if one != other:
            raise QueryError(
                f"the runs cannot be compared: their {what} are not the same "
                f"({name} {getattr(a.options, name)!r} and {getattr(b.options, name)!r}); search "
                f"one of them again with the {name} of the other"
            )
    differences = []
    for name in _THRESHOLDS:
        one, other = getattr(a.options, name, None), getattr(b.options, name, None)
        if one != other:
            differences.append(f"{name} {one} and {other}")
    if differences:
        warn(
            f"the runs have different thresholds ({'; '.join(differences)}): some modes may be "
            "missing from one of them because it did not look for them"
        )


def mode_tags(run: StoredRun) -> pa.Table:
    """Return the tags of the failure modes of a run, one row for each mode and tag."""
    return run.sql(queries.find("questions/compare/mode_tags").render()).to_arrow()


def counts(run: StoredRun, with_tags: pa.Table, on_sql: OnSql | None) -> pa.Table:
    """Count images and errors of modes in a run, whether it found them or not.

    They are counted where the run is stored, so that only counts leave its database.

    Parameters
    ----------
    run
        The run to count in.
    with_tags
        Rows of `mode_tags`, of any runs that define class the same way.
    on_sql
        Called with a `Statement` after every statement.
    """
    with run.session(on_sql) as session:
        load_wanted(session, with_tags)
        scope = run.scope("vocabulary", "tagged")
        session.step("questions/compare/counts", scope=scope, largest=LARGEST_MAX_TAGS)
        return session.fetch("counts", "from counts")


def load_wanted(session: Session, with_tags: pa.Table) -> None:
    """Fill ``wanted`` of a session: the modes of several runs, each once."""
    session.create_from("wanted_twice", ibis.memtable(with_tags))
    session.create("wanted", "select distinct * from wanted_twice")
