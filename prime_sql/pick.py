"""Act on failure modes: images to label or collect next, and weights to train with.

What is matched and weighed stands in ``queries/pick/``; this module opens the pool, chooses what of
it can be used, and orders the steps.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ibis.expr.types import Table

from prime_sql import inputs, queries
from prime_sql.answers import Relation, answer
from prime_sql.counting import step as make
from prime_sql.errors import InputError, InputWarning, OptionError, QueryError, did_you_mean
from prime_sql.explain import complete_mode_id, table_of_images
from prime_sql.options import Options, finite_number, whole_number
from prime_sql.sources import DATABASE, Source, catalog_of, describe, open_source, reading
from prime_sql.validate import options_for, warn_of_unknown_tags
from prime_sql.warehouse import OnSql, Warehouse, in_turn

if TYPE_CHECKING:
    from prime_sql.results import Run

_FIXED = re.compile(r"\[(\d+)\]$")  # FLOAT[512], not FLOAT[]
_NO_TAGS = "select cast(null as varchar) as image_id, cast(null as varchar) as tag where false"
_NO_IDS = "select cast(null as varchar) as image_id where false"
_NO_SIMILARITIES = (
    "select cast(null as varchar) as image_id, cast(null as double) as similarity where false"
)


@dataclass(frozen=True)
class _Similarities:
    """Two tables of embeddings (quoted names) by one model, of one length."""

    embeddings: str
    texts: str
    model: str
    dimensions: int


# Images to label ----------------------------------------------------------------------------------


def pick(
    run: Run,
    mode_id: str,
    pool: Any,
    *,
    limit: int | None,
    seen: bool,
    model: str | None,
    min_similarity: float | None,
    columns: dict[str, Any],
    on_sql: OnSql | None,
) -> Relation:
    """Find images of a pool that match a failure mode of `run`; see `Run.pick`.

    `columns` are the options that say what the columns are called; None means as in the run.
    """
    if limit is not None:
        limit = whole_number("limit", limit)
    if min_similarity is not None:
        min_similarity = finite_number("min_similarity", min_similarity)
        if not -1 <= min_similarity <= 1:
            raise OptionError(f"min_similarity must be between -1 and 1, got {min_similarity:g}")
    if not isinstance(mode_id, str) or not mode_id.strip():
        raise QueryError(f"mode_id takes a mode_id or its first characters, got {mode_id!r}")
    mode_id = complete_mode_id(run, mode_id.strip())
    with _session(run, on_sql) as warehouse:
        step = partial(make, warehouse, folder="pick")
        _stored_step(warehouse, run, "wanted", mode_id=mode_id)
        if seen:
            warehouse.create("seen", _NO_IDS)
        else:
            _stored_step(warehouse, run, "seen", counted=("outcomes",))
        images = table_of_images(run)
        all_images = [] if images is None else [images]
        if _is_database(pool):
            path = Path(pool)
            catalog = catalog_of(path, "pool", warehouse)
            all_images = list(dict.fromkeys([*_tables_of_images(catalog, warehouse), *all_images]))
            found = _open_database(path, catalog, run, warehouse, model, columns)
        else:
            found = None
            if model is not None or min_similarity is not None:
                name = "min_similarity" if model is None else "model"
                raise OptionError(f"{name} needs a pool with embeddings, as in pool.duckdb")
            _open_tags(pool, options_for(run.options, None, columns), warehouse)
        with reading("pool", describe(pool)):
            step("carried")
        if found is None:
            warehouse.create("similarities", _NO_SIMILARITIES)
        else:
            step("similarities", **vars(found))
        _check_tags(pool, warehouse, similar=found is not None)
        step("matches", images=all_images, min_similarity=min_similarity)
        step("picks", limit=limit)
        left_out = warehouse.execute("matches", "select sum(seen) from matches")[0][0]
        if left_out:
            _warn(
                f"{left_out:,} images of the pool match but were left out: the run has them "
                "already. seen=True (--seen) keeps them."
            )
        rows = warehouse.backend.table("picks").to_pyarrow()
    return Relation.of(rows)


def _is_database(pool: Any) -> bool:
    return (
        isinstance(pool, (str, os.PathLike))
        and str(os.fspath(pool)).lower().endswith(DATABASE)
        and os.path.isfile(pool)  # noqa: PTH113  # Path.is_file raises where a name is too long
    )


def _open_tags(pool: Any, options: Options, warehouse: Warehouse) -> None:
    """Make ``tags`` and ``tagged_pool`` of the session from a tags table."""
    source = open_source(pool, "tags", warehouse, options, inputs.wanted_tags(options))
    with reading("tags", describe(pool)):
        inputs.load_tags(source, options, warehouse)
        _tagged([source.table.select(image_id=source.table[options.image_id])], warehouse)


def _open_database(
    path: Path,
    catalog: str,
    run: Run,
    warehouse: Warehouse,
    model: str | None,
    columns: dict[str, Any],
) -> _Similarities | None:
    """Make ``tags`` and ``tagged_pool`` from a database; return what can be compared in it."""
    backend = warehouse.backend
    place = (catalog, "main")
    there = _tables(catalog, warehouse)
    if not {"tags", "embeddings"} & {*there}:
        raise InputError(
            f"{path} has neither a table tags nor embeddings; `prime-sql tag` and `prime-sql "
            f"embed` make them. It has: {inputs.shorten_list(there) or 'no table'}. "
            f"Another table of tags is named as in {path}:TABLE."
        )
    if "tags" in there:
        # The run's own tables may call their columns what they like; these have a maker.
        usual = {"image_id": "image_id", "tag": "tag", "score": "score", "wide": False}
        given = {name: value for name, value in columns.items() if value is not None}
        options = options_for(run.options, None, {**usual, **given})
        table = backend.table("tags", database=place)
        with reading("pool", str(path)):
            inputs.load_tags(Source(table, list(table.columns)), options, warehouse)
        tagged = [table.select(image_id=table[options.image_id])]
        if (
            "tagged_images" in there
            and "image_id" in (listed := backend.table("tagged_images", database=place)).columns
        ):
            tagged.append(listed.select("image_id"))  # also those for which there is no tag
        _tagged(tagged, warehouse)
    else:
        warehouse.create("tags", _NO_TAGS)
        warehouse.create("tagged_pool", _NO_IDS)
    # Texts may have been embedded beside the images, or beside the run.
    own = warehouse.backend.current_catalog
    found = _compare(path, dict.fromkeys((catalog, own)), catalog, warehouse, model)
    if found is None and "tags" not in there:
        raise InputError(
            f"{path} has no tags, and no embeddings that could be compared with those of the "
            f"tags {_names(_wanted(warehouse))}; embed these with the same model, with `prime-sql "
            "embed --texts`"
        )
    return found


def _tagged(tables: list[Table], warehouse: Warehouse) -> None:
    ids = [table.select(image_id=table.image_id.cast(str)) for table in tables]
    every = ids[0].union(*ids[1:]) if len(ids) > 1 else ids[0]
    every = every.filter(every.image_id.notnull()).distinct()
    warehouse.create("tagged_pool", warehouse.backend.compile(every))


def _tables_of_images(catalog: str, warehouse: Warehouse) -> list[str]:
    found = _columns(catalog, "images", warehouse)
    return [_quoted(catalog, "images")] if {"image_id", "uri"} <= found.keys() else []


def _compare(
    path: Path, places: dict[str, None], catalog: str, warehouse: Warehouse, model: str | None
) -> _Similarities | None:
    """Return the embeddings that all present tags can be compared in, or None."""
    image_columns = _columns(catalog, "embeddings", warehouse)
    fixed = _FIXED.search(image_columns.get("embedding", ""))
    known: set[str] = set()
    fitting: dict[str, _Similarities] = {}
    partly: dict[str, list[str]] = {}
    wanted = _wanted(warehouse, present=True)
    for place in places:
        texts = _columns(place, "text_embeddings", warehouse)
        if (
            not fixed
            or not {"image_id", "model"} <= image_columns.keys()
            or not {"text", "model"} <= texts.keys()
            or texts.get("embedding") != image_columns["embedding"]
        ):
            continue
        names = {
            "embeddings": _quoted(catalog, "embeddings"),
            "texts": _quoted(place, "text_embeddings"),
        }
        sql = queries.find("pick/models").render(**names)
        tags: dict[str, list[str]] = {}
        for name, tag in warehouse.execute("models", sql):
            tags.setdefault(name, []).extend([] if tag is None else [tag])
        known |= tags.keys()
        for name, embedded in tags.items():
            if wanted and embedded == wanted:
                fitting.setdefault(
                    name, _Similarities(**names, model=name, dimensions=int(fixed[1]))
                )
            elif embedded:
                partly[name] = [tag for tag in wanted if tag not in embedded]
    if not wanted:  # nothing to be similar to
        if model is not None:
            raise OptionError(
                "the failure mode has absent tags only, and similarities need a present one; leave "
                "model out"
            )
        return None
    if model is not None:
        if model in fitting:
            return fitting[model]
        raise OptionError(
            f"model {model!r} did not embed both images of {path} and the tags {_names(wanted)}."
            f"{did_you_mean(model, known)} Models that did: {', '.join(sorted(fitting)) or 'none'}."
        )
    if len(fitting) > 1:
        raise OptionError(
            f"{path} has embeddings of {len(fitting)} models: {', '.join(sorted(fitting))}; choose "
            "one with model (--model)"
        )
    if fitting:
        return next(iter(fitting.values()))
    for name, missing in partly.items():
        _warn(
            f"no similarities: {name} has not embedded the tags {_names(missing)}; "
            "`prime-sql embed --texts` does"
        )
    return None


def _check_tags(pool: Any, warehouse: Warehouse, *, similar: bool) -> None:
    """Say which tags the pool does not know; refuse it where it knows none and has nothing else."""
    wanted = _wanted(warehouse)
    sql = queries.find("pick/unknown_tags").render()
    unknown = [tag for (tag,) in warehouse.execute("unknown_tags", sql)]
    if not unknown:
        return
    if unknown == wanted and not similar:
        raise InputError(
            f"no image of the pool ({describe(pool)}) carries any tag of the failure mode: "
            f"{_names(wanted)}; tag the pool with the words of the run, or give a database with "
            "embeddings of its images and, by the same model, of these tags"
        )
    if unknown != wanted or warehouse.execute("unknown_tags", "select count(*) from tags")[0][0]:
        _warn(f"no image of the pool carries {_names(unknown, 'or')}; is it written alike?")


def _wanted(warehouse: Warehouse, *, present: bool = False) -> list[str]:
    sql = f"select tag from wanted {'where present = 1 ' if present else ''}order by tag"
    return [tag for (tag,) in warehouse.execute("wanted", sql)]


def _names(tags: list[str], word: str = "and") -> str:
    quoted = [repr(tag) for tag in tags]
    return f" {word} ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _quoted(catalog: str, table: str) -> str:
    return ".".join(queries.identifier(part) for part in (catalog, "main", table))


def _tables(catalog: str, warehouse: Warehouse) -> list[str]:
    """Return the names of a database's tables and views; those of the session are none of them."""
    rows = warehouse.execute(
        "tables",
        "select distinct table_name from duckdb_columns() where not internal and database_name = "
        f"{queries.literal(catalog)} and schema_name = 'main' order by 1",
    )
    return [name for (name,) in rows]


def _columns(catalog: str, table: str, warehouse: Warehouse) -> dict[str, str]:
    """Return a table's columns and their types; none where there is no such table."""
    return dict(
        warehouse.execute(
            "columns",
            "select column_name, data_type from duckdb_columns() where database_name = "
            f"{queries.literal(catalog)} and schema_name = 'main' and table_name = "
            f"{queries.literal(table)}",
        )
    )


def _warn(message: str) -> None:
    # Seen from here: pick, Run.pick, then the user's own line, give or take one.
    warnings.warn(message, InputWarning, stacklevel=4)


# Weights to train with ----------------------------------------------------------------------------


def weights(
    run: Run,
    training: Any,
    tags: Any,
    *,
    normalise: bool,
    where: str | None,
    columns: dict[str, Any],
    on_sql: OnSql | None,
) -> Relation:
    """Weigh images by the failure modes of `run` that they fall in; see `Run.weights`."""
    if (training is None) != (tags is None):
        given, missing = ("training", "tags") if tags is None else ("tags", "training")
        raise OptionError(
            f"{given} needs {missing} beside it: images and their tags; give neither for the "
            "images of the run itself"
        )
    if training is None:
        for name, value in {**columns, "where": where}.items():
            if value is not None:
                raise OptionError(f"{name} is about a training table; give training and tags")
        parts = {
            "mode_weights": "mode_weights",
            "weighed_images": "run_images",
            "weighed_members": "run_members",
        }
        scope = [run.scope("outcomes")]
        for name, file in parts.items():
            scope.append(f"{name} as (\n{queries.find(f'pick/{file}').render()}\n)")
        sql = queries.find("pick/weights").render(normalise=normalise)
        return answer(sql, run.backend, ",\n".join(scope))
    # Nobody has to have predicted anything on them.
    options = options_for(run.options, where, columns).replace(error="false")
    with _session(run, on_sql) as warehouse:
        step = partial(make, warehouse, folder="pick")
        unseen = partial(make, warehouse, folder="validate")
        # First, while the names are the stored ones still.
        _stored_step(warehouse, run, "mode_weights")
        _stored_step(warehouse, run, "wanted_tags", folder="validate")
        (most,) = warehouse.execute(
            "wanted_tags",
            "select coalesce(max(tags), 1) from "
            "(select count(*) as tags from wanted_tags group by mode_id) as sizes",
        )[0]
        try:
            loaded = inputs.load(training, tags, options, warehouse)
        except InputError as error:
            raise InputError(f"training: {error}") from error
        unseen("unseen_images", "images")
        with reading("tags", loaded.sources["tags"]):
            unseen("unseen_vocabulary")
            unseen("unseen_image_tags", "image_tags")
        inputs.check_tags(warehouse, loaded)
        warn_of_unknown_tags(warehouse, loaded)
        unseen("unseen_tagged")
        warehouse.drop("image_tags")
        step("training_images", "weighed_images")
        step("training_members", "weighed_members", most=most)
        warehouse.drop("unseen_tagged", "predictions")
        step("weights", normalise=normalise)
        rows = warehouse.backend.table("weights").to_pyarrow()
    return Relation.of(rows)


# Both ---------------------------------------------------------------------------------------------


@contextmanager
def _session(run: Run, on_sql: OnSql | None) -> Iterator[Warehouse]:
    """Open a session, and let go of the database files that were attached in it."""
    warehouse = Warehouse(run.backend, on_sql)
    list_ = "select database_name from duckdb_databases()"
    before = set(warehouse.execute("attach", list_))
    try:
        yield warehouse
    finally:
        try:
            attached = set(warehouse.execute("attach", list_)) - before
        finally:
            warehouse.close()
        for (catalog,) in sorted(attached):
            with in_turn(run.backend):
                run.backend.raw_sql(f"detach {queries.identifier(catalog)}")


def _stored_step(
    warehouse: Warehouse,
    run: Run,
    name: str,
    *,
    folder: str = "pick",
    counted: tuple[str, ...] = (),
    **values: Any,
) -> int:
    """Keep the answer of a file that reads stored tables of the run as a relation of its name."""
    sql = queries.find(f"{folder}/{name}", warehouse.plans).render(warehouse.dialect, **values)
    return warehouse.create(
        name, f"with {run.scope(*counted)}\nselect * from (\n{sql}\n) as answer"
    )
