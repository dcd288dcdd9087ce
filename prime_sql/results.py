"""A run, and all that can be asked about it: thresholds, chance, unseen data, the few that matter.

Each method delegates to the module that is called like it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl
from ibis.backends import BaseBackend

from prime_sql.answers import Relation, answer
from prime_sql.defaults import NO_WAIT
from prime_sql.errors import QueryError
from prime_sql.mirror import SCHEMA, Mirror, open_database
from prime_sql.stored import RELATIONS, RUN_SCHEMA, UNPUBLISHED, StoredRun, records
from prime_sql.warehouse import OnSql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prime_sql.explain import Explanation
    from prime_sql.report import Report
    from prime_sql.search import OnProgress
    from prime_sql.validate import Validation
Place: TypeAlias = "str | os.PathLike[str] | BaseBackend"


class Run(StoredRun):
    """One complete run in a database; its tables and attributes are those of `StoredRun`."""

    def refilter(
        self,
        *,
        min_drop: float | None = None,
        min_images: int | None = None,
        necessity: tuple[float, ...] | None = None,
        max_tags: int | None = None,
        min_tag_images: int | None = None,
        max_q: float | None = None,
        job: str | None = None,
        on_sql: OnSql | None = None,
    ) -> Run:
        """Return a new run with other thresholds, answered from the stored counts.

        The result equals a new search with these options; thresholds left out stay as they are. The
        new run is of no job, unless one is named.

        Raises
        ------
        StoredCountsError
            When the stored counts do not suffice: the message says why, and nothing is written.
        """
        from prime_sql.search import refilter  # the two modules need each other

        changes: dict[str, Any] = {
            "min_drop": min_drop,
            "min_images": min_images,
            "necessity": necessity,
            "max_tags": max_tags,
            "min_tag_images": min_tag_images,
            "max_q": max_q,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        return refilter(self, job=job, on_sql=on_sql, **changes)

    def append(
        self,
        predictions: Any = None,
        tags: Any = None,
        *,
        remove: Any = None,
        on_sql: OnSql | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """Return a new run over the images of this one and new ones, counting only what is new.

        The result equals a search of everything with this run's options.

        Parameters
        ----------
        predictions
            New images, in the forms that `search` takes. Where the run has an image of this
            image_id, the new rows replace all its old ones, which may move it to another class.
            Rows that the run's `where` leaves out do not count, and replace nothing. None for no
            new predictions.
        tags
            Tags of the new images, and of old ones whose tags changed: all tags of an image that
            the table names are replaced (by none where no tag of it counts). Images that the table
            does not name keep the tags that they had in the run. Tags of images without a
            prediction are not kept for later. None for no new tags.
        remove
            A table whose `image_id` column names images that are no longer to count.
        on_sql, on_progress
            As in `search`.

        Raises
        ------
        OptionError
            When the run cannot be appended to: one of a greedy search, of one with a `split`, or
            with a condition that asks another table.
        StoredCountsError
            When an earlier version of prime_sql made the run.
        InputError
            When a table is missing or breaks the definition of its columns; nothing is written.
        WarehouseError
            When the database is open for reading only, or refuses a statement.

        Notes
        -----
        With a `max_q`, all eligible tag sets are counted as in a full search.
        """
        from prime_sql.search import append  # the two modules need each other

        return append(
            self, predictions, tags, remove=remove, on_sql=on_sql, on_progress=on_progress
        )

    def chance(self, *, on_sql: OnSql | None = None) -> Relation:
        """Return how sure each failure mode is, the least likely by chance first.

        Counts all eligible tag sets, and keeps the answer in the database; a second call reads it.

        Returns
        -------
        Relation
            mode_id, class_name, tags, images, errors, accuracy, accuracy_low and accuracy_high
            (Wilson interval, 95 %), class_accuracy, p_value (exact and one-sided, of so many errors
            among the images of its class: hypergeometric), q_value (Benjamini and Hochberg),
            family_wise_p (from `null`, else null).

        Raises
        ------
        WarehouseError
            When the q-values are not there yet and the database is open for reading only.

        Notes
        -----
        q-values are over *all* tag sets that could have been failure modes: those of up to
        `max_tags` frequent tags with `min_images` images, also those that the search never visited
        because they have too few errors. They are counted for it. Those have larger p-values than
        the failure modes but for odd cases, in which a q-value is too large, never too small.
        """
        from prime_sql.chance import chance

        missing = "select count(*) from failure_mode_chance where q_value is null"
        if self.sql(missing).to_arrow()[0][0].as_py():
            chance(self, on_sql)
        return self.query("chance")

    def null(self, shuffles: int = 20, *, seed: int = 0, on_sql: OnSql | None = None) -> Relation:
        """Shuffle the errors within each class and search again: what does chance alone give?

        Parameters
        ----------
        shuffles
            How many times; so many searches.
        seed
            Other shuffles; the same ones on every machine.
        on_sql
            Called with a `Statement` after every statement.

        Returns
        -------
        Relation
            shuffle, failure_modes (how many at the run's thresholds, without `max_q`), smallest_p.
            ``family_wise_p`` of `chance` is now the share of shuffles in which chance gave a
            failure mode as unlikely, where the errors as they are count as one more shuffle.

        Raises
        ------
        OptionError
            When `shuffles` or `seed` is no such number.
        WarehouseError
            When the database is open for reading only.
        """
        from prime_sql.chance import null

        null(self, shuffles, seed, on_sql)
        return self.query("shuffles")

    def missed(self, *, on_sql: OnSql | None = None) -> Relation:
        """Return the failure modes that a greedy search missed, worst first.

        Searches the stored images exhaustively, at the run's thresholds.

        Returns
        -------
        Relation
            The columns of failure_modes; no rows where nothing was missed.

        Raises
        ------
        OptionError
            When the run has a `max_q`: then some that it found are left out, too.
        """
        from prime_sql.recount import missed

        return missed(self, on_sql)

    def success_modes(
        self, min_gain: float | None = None, *, on_sql: OnSql | None = None
    ) -> Relation:
        """Return minimal tag sets on which accuracy rises sharply, best first (paper, 4.2).

        Parameters
        ----------
        min_gain
            How far above that of the class accuracy is at least; the run's `min_drop` if left out.
        on_sql
            Called with a `Statement` after every statement.

        Returns
        -------
        Relation
            The columns of failure_modes up to class_accuracy, and accuracy_gain. Every tag is
            necessary in the other direction: without it, accuracy falls by the run's `necessity`.

        Raises
        ------
        OptionError
            When `min_gain` is out of range.
        WarehouseError
            When the database is open for reading only: the answer is kept in it.
        """
        from prime_sql.recount import success_modes

        success_modes(self, min_gain, on_sql)
        return self._relation("success_modes")

    def validate(
        self,
        predictions: Any,
        tags: Any,
        *,
        where: str | None = None,
        min_unseen_images: int = 10,
        tolerance: float = 0.05,
        image_id: str | None = None,
        label: str | None = None,
        prediction: str | None = None,
        tag: str | None = None,
        score: str | None = None,
        min_score: float | None = None,
        wide: bool | None = None,
        on_sql: OnSql | None = None,
    ) -> Validation:
        """Check the failure modes on data that the search did not see (PRIME paper, 4.1).

        The verdicts are stored, in the place of earlier ones of this run.

        Parameters
        ----------
        predictions, tags
            The unseen data, in the forms that `search` takes.
        where
            SQL condition on the unseen predictions, in the place of the run's own.
        min_unseen_images
            A failure mode that fewer unseen images fit is undecided.
        tolerance
            A failure mode holds when its drop of accuracy on the unseen images reaches
            `min_drop` of the run less so much, else it fails.
        image_id, label, prediction, tag, score, min_score, wide
            What the columns are called, and how tags are read; as in the run where left out, like
            what the class is and when a prediction is wrong.
        on_sql
            Called with a `Statement` after every statement.

        Raises
        ------
        OptionError
            When `min_unseen_images` or `tolerance` is out of range.
        InputError
            When a table is missing or breaks the definition of its columns; nothing is written.
        WarehouseError
            When the database is open for reading only, or refuses a statement.
        """
        from prime_sql.validate import validate

        columns = {
            "image_id": image_id,
            "label": label,
            "prediction": prediction,
            "tag": tag,
            "score": score,
            "min_score": min_score,
            "wide": wide,
        }
        return validate(
            self,
            predictions,
            tags,
            where=where,
            min_unseen_images=min_unseen_images,
            tolerance=tolerance,
            on_sql=on_sql,
            columns=columns,
        )

    @property
    def validation(self) -> Validation | None:
        """The latest check on unseen data, or None where there is none.

        A refiltered run has none, whatever it came from, until `validate` is called on it.
        """
        from prime_sql.validate import stored

        return stored(self)

    def cover(
        self,
        *,
        top: int | None = 10,
        by: str = "excess_errors",
        overlap: float | None = 0.9,
        on_sql: OnSql | None = None,
    ) -> Relation:
        """Pick the few failure modes that explain most errors, greedily.

        Each is the one that has most of the errors (images of a class) that none above it has; of
        several such the better-ranked one.

        Parameters
        ----------
        top
            How many at most; None goes on until no mode has another error.
        by
            What modes are ranked by: ``excess_errors``, ``drop``, ``p`` (the p-value, smallest
            first) or ``images``; ties go by class and tags.
        overlap
            Near-duplicates, which have so much of their images in common with a better-ranked
            mode, are left out; None leaves out nothing. See `families`.
        on_sql
            Called with a `Statement` after every statement.

        Returns
        -------
        Relation
            rank (order of the picks), mode_id, class_name, tags, images, errors, accuracy,
            accuracy_drop, new_errors (that no mode above has), cumulative_errors,
            cumulative_coverage (share of all errors of the run).

        Raises
        ------
        OptionError
            When `top`, `by` or `overlap` is out of range.
        """
        from prime_sql.rank import cover  # the two modules need each other

        return cover(self, top, by, overlap, on_sql)

    def overlaps(self, *, min_jaccard: float = 0.5) -> Relation:
        """Return pairs of failure modes of one class that share images, most alike first.

        Parameters
        ----------
        min_jaccard
            Smallest share of the images of either mode that both have, from 0 to 1.

        Returns
        -------
        Relation
            class_name, tags, other_tags, jaccard, shared_images, shared_errors, images,
            other_images, share, other_share (of each one's images), mode_id, other_mode_id.

        Raises
        ------
        OptionError
            When `min_jaccard` is out of range.
        """
        return self.query("overlaps", min_jaccard=min_jaccard)

    def families(self, *, overlap: float = 0.9, by: str = "excess_errors") -> Relation:
        """Return every failure mode with the one that stands for it.

        A mode is a near-duplicate when at least `overlap` of its images are those of a
        better-ranked mode of its class. It is hidden behind the best such mode, and represented
        by that one, or where that is hidden too, by the one that represents it.

        Parameters
        ----------
        overlap
            A share, above 0 and at most 1.
        by
            What modes are ranked by; see `cover`.

        Returns
        -------
        Relation
            place (rank among all modes), class_name, tags, hidden, share (of its images that the
            representative has, less than `overlap` where it took several steps),
            representative_tags, images, errors, accuracy, accuracy_drop, excess_errors, mode_id,
            hidden_by (a mode_id), representative_id.

        Raises
        ------
        OptionError
            When `overlap` or `by` is out of range.
        """
        return self.query("families", overlap=overlap, by=by)

    def explain(self, mode_id: str, *, examples: int = 12) -> Explanation:
        """Explain one failure mode: its tags, what it is taken for, how it looks.

        Parameters
        ----------
        mode_id
            The mode, or the first characters of its mode_id.
        examples
            How many wrong images, and how many right ones, to show.

        Returns
        -------
        Explanation
            The accuracy on every subset of its tags, its wrong predictions, example images. (A
            greedy search did not count every subset: then some are missing.)

        Raises
        ------
        QueryError
            When no mode begins so, or several do; the message names some.
        """
        from prime_sql.explain import explain  # the two modules need each other

        return explain(self, mode_id, examples=examples)

    def report(
        self,
        *,
        top: int = 10,
        cards: int = 50,
        thumbnails: bool = True,
        runs: int = 10,
        on_sql: OnSql | None = None,
    ) -> Report:
        """Collect what a report shows: everything that is known of this run.

        Its methods ``to_html()`` (one self-contained page), ``to_json()`` and ``to_text()`` write
        it.

        Parameters
        ----------
        top
            How many failure modes the headline lists: those that explain most errors.
        cards
            How many failure modes get a card: subsets of their tags, wrong predictions, example
            images. Those of the headline first, then those with most excess errors.
        thumbnails
            Whether the example images have small pictures, for a page: of local files that a table
            ``images(image_id, uri)`` names, or of bytes that ``image_bytes(image_id, bytes)``, or
            ``images``, holds; beside the predictions or in schema main. Needs Pillow.
        runs
            Through how many comparable runs, this one included, each mode is followed.
        on_sql
            Called with a `Statement` after every statement.

        Raises
        ------
        OptionError
            When a number is out of range.
        """
        from prime_sql.report import collect  # the two modules need each other

        return collect(self, top=top, cards=cards, thumbnails=thumbnails, runs=runs, on_sql=on_sql)

    def sweep(
        self,
        *,
        min_images: int | Iterable[int] | None = None,
        min_drop: float | Iterable[float] | None = None,
    ) -> Relation:
        """Ask the stored counts for a grid of thresholds (PRIME paper, A.5 and A.15).

        One query answers the whole grid; nothing is stored. Each row says how many modes `refilter`
        would find at these thresholds, the other ones being those of the run; `max_q` is left
        aside.

        Parameters
        ----------
        min_images, min_drop
            The values to combine; those of the run if left out.

        Returns
        -------
        Relation
            min_images, min_drop, failure_modes, modes_1 … modes_6 (by number of tags),
            error_coverage (share of all errors that are in at least one mode); of a validated run
            also decided (modes with enough unseen images), correlation (of their drops as found
            and unseen) and share_reached (whose unseen drop reaches `min_drop` of the row less
            0.05). A validation has the modes of its own run only, so that these three are null in
            rows with other modes, such as those of looser thresholds: refilter to the loosest
            ones and validate that run.

        Raises
        ------
        OptionError
            When a value is out of range.
        StoredCountsError
            When the stored counts do not suffice for a cell: the message says which and why.
        """
        from prime_sql.sweep import sweep  # the two modules need each other

        return sweep(self, min_images=min_images, min_drop=min_drop)

    @property
    def previous(self) -> Run | None:
        """The run that this one is compared with, or None where it is the first.

        It is the latest earlier one in the database of the same job and the same options; of runs
        without a job, the latest one without a job whose predictions came from the same place.
        """
        from prime_sql.history import previous  # the two modules need each other

        return previous(self)

    @property
    def changes(self) -> Relation | None:
        """What changed since the previous run: rows of `compare`, or None without such a run.

        The previous run is A, this one is B.
        """
        from prime_sql.history import changes

        return changes(self)

    def history(self, runs: int = 10, *, on_sql: OnSql | None = None) -> Relation:
        """Follow the failure modes through the last runs that this one is compared with.

        They are those of this run, and those of the previous run that are gone. They are counted
        in every run, also where they were no failure modes.

        Parameters
        ----------
        runs
            How many runs, this one included; fewer where there are fewer.
        on_sql
            Called with a `Statement` after every statement.

        Returns
        -------
        Relation
            place (of the mode, from 1, in the order of `changes`), status (since the previous run:
            new, persisting, fixed or undecided, see `compare`; null without one), mode_id,
            class_name, tags, tag_count, run_id, created_at (of that run), is_mode (whether it was a
            failure mode there); images, errors, accuracy, class_accuracy and accuracy_drop there.
            One row for each mode and run, by place and run_id. Where the class was missing all
            numbers are null; where a tag was not frequent in it, those of the images with the tags
            are; on no images the accuracy is.

        Raises
        ------
        OptionError
            When `runs` is no such number.
        """
        from prime_sql.history import history

        return history(self, runs, on_sql)

    def pick(
        self,
        mode_id: str,
        pool: Any,
        *,
        limit: int | None = 100,
        seen: bool = False,
        model: str | None = None,
        min_similarity: float | None = None,
        image_id: str | None = None,
        tag: str | None = None,
        score: str | None = None,
        min_score: float | None = None,
        wide: bool | None = None,
        on_sql: OnSql | None = None,
    ) -> Relation:
        """Pick images of an unlabelled pool that match a failure mode, to label or to collect.

        First come the images that carry all its present tags and none of its absent ones. Where
        the pool has embeddings, others follow by the mean cosine similarity of the image to the
        mode's present tags, but for those that carry an absent one. Labels play no part: the class
        of the mode is not looked for.

        Parameters
        ----------
        mode_id
            The mode, or the first characters of its mode_id.
        pool
            A tags table in the forms that `search` takes; or a DuckDB file with the tables that
            ``prime-sql images``, ``tag`` and ``embed`` make, of which those that are there are
            used. Similarities need ``embeddings`` of its images and, by the same model, of the
            tags in ``text_embeddings``, in the file or in the database of the run
            (``prime-sql embed --texts``); of several prompts of a tag the mean counts.
        limit
            How many images at most; None for all.
        seen
            Whether to pick images that the run has already, too: an unlabelled pool has none.
        model
            Which model's embeddings to compare, where there are several.
        min_similarity
            Least similarity of an image that its tags do not match.
        image_id, tag, score, min_score, wide
            What the columns of the tags are called, and how tags are read; as in the run where left
            out, but in a DuckDB file as ``prime-sql tag`` calls them.
        on_sql
            Called with a `Statement` after every statement.

        Returns
        -------
        Relation
            place (from 1), image_id, uri (from a table ``images`` of the file, or of the database
            of the run; null where unknown), matched_by (``tags`` or ``similarity``), carried_tags
            (how many of the present tags it carries, null where it was not tagged), similarity
            (null where unknown). No rows where nothing matches.

        Raises
        ------
        QueryError
            When no mode begins so, or several do.
        OptionError
            When an option is out of range, or a model is to be chosen.
        InputError
            When the pool cannot be read, or knows none of the mode's tags and has no embeddings to
            compare.
        """
        from prime_sql.pick import pick

        return pick(
            self,
            mode_id,
            pool,
            limit=limit,
            seen=seen,
            model=model,
            min_similarity=min_similarity,
            columns={
                "image_id": image_id,
                "tag": tag,
                "score": score,
                "min_score": min_score,
                "wide": wide,
            },
            on_sql=on_sql,
        )

    def weights(
        self,
        training: Any = None,
        tags: Any = None,
        *,
        normalise: bool = True,
        where: str | None = None,
        image_id: str | None = None,
        label: str | None = None,
        prediction: str | None = None,
        tag: str | None = None,
        score: str | None = None,
        min_score: float | None = None,
        wide: bool | None = None,
        on_sql: OnSql | None = None,
    ) -> Relation:
        """Weigh images by the failure modes that they fall in, for a sampler or a loss.

        The weight of an image is the largest, over its modes, of the error rate of the mode over
        that of its class; 1 for an image in no mode.

        Parameters
        ----------
        training, tags
            The images to train on, with their image_id and what makes their class (a label; no
            prediction is needed), and their tags, in the forms that `search` takes. The run's own
            images if left out.
        normalise
            Whether to scale the weights so that their mean in each class is 1. Then a sampler
            such as PyTorch's WeightedRandomSampler, which draws in proportion to the weights,
            draws each class as often as before, and the hard images more often within it.
        where
            SQL condition on `training`.
        image_id, label, prediction, tag, score, min_score, wide
            What the columns are called, and how tags are read; as in the run where left out, like
            what the class is.
        on_sql
            Called with a `Statement` after every statement.

        Returns
        -------
        Relation
            image_id, class_name, failure_modes (how many it falls in), weight; one row for each
            image of a class, by class_name and image_id.

        Raises
        ------
        InputError
            When a table is missing or breaks the definition of its columns.
        OptionError
            When `training` is given without `tags`, or an option is out of range.
        """
        from prime_sql.pick import weights

        return weights(
            self,
            training,
            tags,
            normalise=normalise,
            where=where,
            columns={
                "image_id": image_id,
                "label": label,
                "prediction": prediction,
                "tag": tag,
                "score": score,
                "min_score": min_score,
                "wide": wide,
            },
            on_sql=on_sql,
        )


def open_run(
    database: Place,
    run_id: int | None = None,
    *,
    read_only: bool = True,
    schema: str = SCHEMA,
    wait: float = NO_WAIT,
) -> Run:
    """Open a stored run: the latest one, or number `run_id`.

    The database is a DuckDB file or connection; or a warehouse, by URL or connection, whose
    results are in `schema`. A file that another process has open is waited for, `wait` seconds.

    What a job that failed left unpublished is opened by its number only.

    Raises
    ------
    WarehouseError
        When the database does not exist, is locked, or is no DuckDB file.
    QueryError
        When it holds no such run.
    """
    opened = open_database(database, schema=schema, read_only=read_only, wait=wait)
    mirror = opened if isinstance(opened, Mirror) else None
    try:
        return Run(opened.backend, run_id, path=opened.path, owned=opened.owned, mirror=mirror)
    except BaseException:
        opened.discard()
        raise


def sql(
    database: Place,
    query: str,
    run_id: int | None = None,
    *,
    schema: str = SCHEMA,
    wait: float = NO_WAIT,
) -> pl.DataFrame:
    """Answer an SQL query over a database; see `Run.sql` and, for the rest, `open_run`.

    Where the database holds no run yet, or none that was published, the query is over its other
    tables.

    Raises
    ------
    WarehouseError
        When the database cannot be opened.
    QueryError
        When it holds no such run, or the engine refuses the query.
    """
    opened = open_database(database, schema=schema, read_only=True, wait=wait)
    mirror = opened if isinstance(opened, Mirror) else None
    try:
        stored = records(opened.backend, None)
        if run_id is not None or any(each["status"] != UNPUBLISHED for each in stored):
            run = Run(opened.backend, run_id, path=opened.path, mirror=mirror)
            return run.sql(query).to_polars()
        try:
            return answer(query, opened.backend).to_polars()
        except QueryError:
            if any(name in query for name in RELATIONS):
                Run(opened.backend, path=opened.path)  # says that there is none
            raise
    finally:
        opened.discard()


def runs(database: Place, *, schema: str = SCHEMA, wait: float = NO_WAIT) -> pl.DataFrame:
    """Return the runs of a database, oldest first, one row each; see `open_run`."""
    opened = open_database(database, schema=schema, read_only=True, wait=wait)
    try:
        return pl.DataFrame(records(opened.backend, None), schema=RUN_SCHEMA)
    finally:
        opened.discard()
