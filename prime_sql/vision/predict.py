"""Images become predictions of a classifier."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from prime_sql.engine import alike, queries
from prime_sql.engine.database import Destination
from prime_sql.engine.errors import warn
from prime_sql.engine.session import OnSql, Session
from prime_sql.vision import loading
from prime_sql.vision.classifiers import Classifier
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.network import Place, batch_size_on
from prime_sql.vision.settings import fingerprint, settle
from prime_sql.vision.steps import Done, OnImages, Step, make, open_session, run


def predict(
    into: Destination,
    model: str,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: str | None = None,
    trust: bool = False,
    name: str | None = None,
    table: str = "predictions",
    replace: bool = False,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    on_sql: OnSql | None = None,
    on_images: OnImages | None = None,
) -> Done:
    """Classify the images of a database that a model has not classified yet.

    Rows go into ``predictions(image_id, label, prediction, confidence, model)``; the label is the
    one in ``images``.

    Parameters
    ----------
    model, checkpoint, labels, image_size, mean, std, resize, trust, name
        See `loading.load`.
    into, table, replace, device, precision, batch_size, threads, on_sql, on_images
        As for `embed`.

    Raises
    ------
    InputError
        When there are no images, or the model cannot be obtained.
    OptionError
        When an option is out of range, or the model does not use it.
    """
    with open_session(into, on_sql) as session:
        place = Place.choose(device, precision)
        size = batch_size_on(place, batch_size)
        classifier = loading.load(
            model,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            labels=None if labels is None else Path(labels),
            image_size=image_size,
            mean=mean,
            std=std,
            resize=resize,
            place=place,
            trust=trust,
            name=name,
        )
        _warn_of_other_names(classifier, session)
        make(session, "predictions", table)
        files = [Path(text) for text in (model, checkpoint, labels) if text is not None]
        settings: dict[str, Any] = {
            "model": Path(model).name,
            "files": fingerprint(*(path for path in files if path.exists())),
            "image_size": image_size,
            "mean": mean,
            "std": std,
            "resize": resize,
        }
        code = loading.code_of(model)
        if code is not None:
            settings["code"] = code
        settle(session, "predict", table, classifier.name, settings, replace=replace)
        function = ImageFunction.over(classifier, "predict", batch_size=size, threads=threads)
        values = {"table": table, "model": classifier.name}
        to_do = queries.find("vision/todo/to_do").render(
            session.dialect, model_column="model", **values
        )
        write = queries.find("vision/write/predicted").render(session.dialect, **values)
        step = Step("predict", classifier.name, table, to_do=to_do, write=write)
        done = run(step, function, session, on_images)
        return dataclasses.replace(done, note=f"Names of the classes: {classifier.classes_from}.")


def _warn_of_other_names(classifier: Classifier, session: Session) -> None:
    """Warn, before the work, if no label of the images is a class of the model."""
    if classifier.classes is None:
        return  # only its answers tell
    rows = session.execute("predict", "select distinct label from images where label is not null")
    labels = sorted(label for (label,) in rows)
    if not labels or not {*labels}.isdisjoint(classifier.classes):
        return
    example = classifier.classes[0]
    keys = {alike.key(name): name for name in classifier.classes}
    same = [label for label in labels if alike.key(label) in keys]
    differ = ""
    if same:
        example = keys[alike.key(same[0])]
        differ = f", which differ only in {alike.difference(same[0], example)}"
    warn(
        f"no label of the images is a class of {classifier.name}: {len(labels):,} labels such as "
        f"{alike.shown((same or labels)[0])}, {len(classifier.classes):,} classes such as "
        f"{alike.shown(example)}{differ}; every prediction would be wrong: give the classes the "
        "names of the labels with --labels"
    )
