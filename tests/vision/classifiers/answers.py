"""What a classifier says, and what its network says without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prime_sql.vision.network import Place

torch = pytest.importorskip("torch")
from prime_sql.vision import loading  # noqa: E402
from prime_sql.vision.classifiers import RETURNS, Classifier  # noqa: E402

CPU = Place(torch.device("cpu"), torch.float32)

HALVES: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # those of the Lite0


def load(model: str | Path, **options: Any) -> Classifier:
    return loading.load(str(model), place=CPU, **options)


def answers(classifier: Classifier, pictures: list[Any]) -> list[dict[str, Any]]:
    result = classifier.run([classifier.prepare(picture) for picture in pictures])
    assert result.type == classifier.returns == RETURNS
    return result.to_pylist()


def same(found: list[dict[str, Any]], wanted: list[dict[str, Any]], within: float = 1e-3) -> None:
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
    confidences = [[row["confidence"] for row in rows] for rows in (found, wanted)]
    np.testing.assert_allclose(*confidences, atol=within)


def answers_of(network: Any, batch: Any, names: list[str]) -> list[dict[str, Any]]:
    """Return what a network says, worked out another way."""
    with torch.no_grad():
        probabilities = torch.softmax(network.eval()(batch).double(), dim=1)
    highest, index = probabilities.max(dim=1)
    return [
        {"prediction": names[i], "confidence": float(p)}
        for i, p in zip(index, highest, strict=True)
    ]


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return open, (str(self.file), "w")
