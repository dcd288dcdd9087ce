"""Weights of training images, by the failure modes that they fall in."""

from __future__ import annotations

from typing import Any

from prime_sql.discovery import inputs
from prime_sql.discovery.stored import StoredRun
from prime_sql.discovery.tags import check_tags
from prime_sql.discovery.unseen import options_for, warn_of_unknown_tags
from prime_sql.engine import queries
from prime_sql.engine.errors import InputError, OptionError
from prime_sql.engine.named_sources import detaching
from prime_sql.engine.relation import Relation, answer
from prime_sql.engine.session import OnSql
from prime_sql.engine.sources import reading


def weights(
    run: StoredRun,
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
    present: str | None = None,
    split_tags: str | None = None,
    on_sql: OnSql | None = None,
) -> Relation:
    """Weigh images by the failure modes that they fall in, for a sampler or a loss.

    The weight of an image is the largest, over its modes, of the error rate of the mode over
    that of its class; 1 for an image in no mode.

    Parameters
    ----------
    training, tags
        The images to train on, with their image_id and what determines their class (a label; no
        prediction is needed), and their tags, in the forms that `search` takes. The run's own
        images if left out.
    normalise
        Whether to scale the weights so that their mean in each class is 1. Then a sampler
        such as PyTorch's WeightedRandomSampler, which draws in proportion to the weights,
        draws each class as often as before, and the hard images more often within it.
    where
        SQL condition on `training`.
    image_id, label, prediction, tag, score, min_score, wide, present, split_tags
        What the columns are called, and how tags are read; as in the run where left out, like
        what the class is.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        image_id, class_name, failure_modes (how many it falls in), weight; one row for each
        image of a class, ordered by class_name and image_id.

    Raises
    ------
    InputError
        When a table is missing or breaks the definition of its columns.
    OptionError
        When `training` is given without `tags`, or an option is out of range.
    """
    columns = {
        "image_id": image_id,
        "label": label,
        "prediction": prediction,
        "tag": tag,
        "score": score,
        "min_score": min_score,
        "wide": wide,
        "present": present,
        "split_tags": split_tags,
    }
    if (training is None) != (tags is None):
        given, missing = ("training", "tags") if tags is None else ("tags", "training")
        raise OptionError(
            f"{given} needs {missing} as well: images and their tags; give neither for the "
            "images of the run itself"
        )
    if training is None:
        for name, value in {**columns, "where": where}.items():
            if value is not None:
                raise OptionError(f"{name} applies to a training table; give training and tags")
        parts = {
            "mode_weights": "mode_weights",
            "weighed_images": "run_images",
            "weighed_members": "run_members",
        }
        scope = [run.scope("outcomes")]
        for name, file in parts.items():
            scope.append(f"{name} as (\n{queries.find(f'questions/weights/{file}').render()}\n)")
        sql = queries.find("questions/weights/weights").render(normalise=normalise)
        return answer(sql, run.backend, ",\n".join(scope))
    # They need no predictions.
    options = options_for(run.options, where, columns).replace(error="false")
    with run.session(on_sql) as session, detaching(session):
        step = session.step
        # First, while the names still mean the stored tables.
        step("questions/weights/mode_weights", scope=run.scope())
        step("discovery/unseen/wanted_tags", scope=run.scope())
        (most,) = session.execute(
            "wanted_tags",
            "select coalesce(max(tags), 1) from "
            "(select count(*) as tags from wanted_tags group by mode_id) as sizes",
        )[0]
        try:
            loaded = inputs.load(training, tags, options, session)
        except InputError as error:
            raise InputError(f"training: {error}") from error
        step("discovery/unseen/unseen_images", "images")
        with reading("tags", loaded.sources["tags"]):
            step("discovery/unseen/unseen_vocabulary")
            step("discovery/unseen/unseen_image_tags", "image_tags")
        check_tags(session, loaded, options.replace(max_absent=0), vocabulary=False)
        warn_of_unknown_tags(session, loaded)
        step("discovery/unseen/unseen_tagged")
        session.drop("image_tags")
        step("questions/weights/training_images", "weighed_images")
        step("questions/weights/training_members", "weighed_members", most=most)
        session.drop("unseen_tagged", "predictions")
        step("questions/weights/weights", normalise=normalise)
        return Relation.of(session.fetch("weights", "from weights"))
