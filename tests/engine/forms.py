"""Tables in the forms that a user may have."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.tables import (
    PREDICTIONS,
    Rows,
)


def relabelled(labels: tuple[Any, ...], predictions: tuple[Any, ...] | None = None) -> Rows:
    """The predictions with other names for the classes."""
    names = ("ape", "bear", "cat")
    label = dict(zip(names, labels, strict=True))
    prediction = dict(zip(names, predictions or labels, strict=True))
    return [
        {**row, "label": label[row["label"]], "prediction": prediction[row["prediction"]]}
        for row in PREDICTIONS
    ]


def pandas(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows)
