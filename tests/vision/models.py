"""A model that is small, fast and exactly right, and the steps that run it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from prime_sql.engine import queries
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.settings import settle
from prime_sql.vision.steps import CHUNK, Done, Step, make, open_session, run


class MeanColour:
    """Embeds a picture as the mean of its pixels: red, green, blue."""

    returns = pa.list_(pa.float32(), 3)
    pixels: int | None = None

    def __init__(self, name: str = "mean colour") -> None:
        self.name = name
        self.batches: list[int] = []

    @property
    def seen(self) -> int:
        return sum(self.batches)

    def prepare(self, picture: Any) -> np.ndarray:
        mean: np.ndarray = np.asarray(picture).reshape(-1, 3).mean(axis=0)
        return mean.astype(np.float32)

    def run(self, batch: list[np.ndarray]) -> pa.Array:
        self.batches.append(len(batch))
        return pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(batch)), 3)


def colour_of(number: int) -> tuple[float, ...]:
    """The mean colour of `samples.numbered(number)`."""
    return (float(number % 256), float(number // 256 % 256), 77.0)


def embed_mean(
    into: Any,
    model: MeanColour,
    *,
    chunk: int = CHUNK,
    table: str = "embeddings",
    settings: dict[str, Any] | None = None,
    replace: bool = False,
    on_sql: Any = None,
    on_images: Any = None,
    function: ImageFunction | None = None,
    **options: Any,
) -> Done:
    """The step ``embed`` with this model."""
    with open_session(into, on_sql) as warehouse:
        make(warehouse, "embeddings", table, dimensions=3)
        settle(warehouse, "embed", table, model.name, settings or {}, replace=replace)
        values = {"table": table, "model": model.name}
        to_do = queries.find("vision/todo/to_do").render("duckdb", model_column="model", **values)
        write = queries.find("vision/write/embedded").render("duckdb", **values)
        step = Step("embed", model.name, table, to_do=to_do, write=write)
        function = function or ImageFunction.over(model, "mean_colour", **options)
        return run(step, function, warehouse, on_images, chunk)


class Failing(MeanColour):
    """Raises at an image, counted from 1."""

    def __init__(self, at: int, error: BaseException | None = None) -> None:
        super().__init__()
        self.at, self.error = at, error or ValueError("no idea\nwhat this is")

    def run(self, batch: Any) -> pa.Array:
        if self.seen + len(batch) >= self.at:
            raise self.error
        return super().run(batch)
