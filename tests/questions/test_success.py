"""Success modes: the failure modes of flipped errors."""

import pytest
from hypothesis import given

import prime_sql as ps
from tests.examples import examples
from tests.generated import frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


@examples(8)
@given(tables(), options())
def test_success_modes_are_failure_modes_of_flipped_errors(data, chosen):
    predictions, tags = data
    labels = sorted({label for _, label, _ in predictions})
    flipped = [
        (image, label, label if guess != label else f"not {label}")
        for image, label, guess in predictions
    ]
    with ps.search(*frames(predictions, tags), **chosen) as run:
        found = run.success_modes().to_polars().to_dicts()
    with ps.search(*frames(flipped, tags), **chosen) as run:
        mirrored = {mode["mode_id"]: mode for mode in run.failure_modes.to_polars().to_dicts()}
    assert labels
    assert {mode["mode_id"] for mode in found} == mirrored.keys()
    for mode in found:
        other = mirrored[mode["mode_id"]]
        assert mode["tags"] == other["tags"]
        assert (mode["images"], mode["errors"]) == (
            other["images"],
            other["images"] - other["errors"],
        )
        assert mode["class_errors"] == other["class_images"] - other["class_errors"]
        assert mode["accuracy"] == pytest.approx(1 - other["accuracy"])
        assert mode["class_accuracy"] == pytest.approx(1 - other["class_accuracy"])
        assert mode["accuracy_gain"] == pytest.approx(mode["accuracy"] - mode["class_accuracy"])


def test_an_easy_set_by_hand():
    predictions = [(f"i{n}", "ape", "ape" if n < 30 else "bee") for n in range(60)]
    tags = [(f"i{n}", "zoo") for n in range(20)] + [(f"i{n}", "sky") for n in range(10, 60)]
    with ps.search(*frames(predictions, tags), min_images=10) as run:
        rows = run.success_modes(0.4).to_polars()
        assert rows.select("tags", "images", "errors", "accuracy_gain").rows() == [
            ("zoo", 20, 0, 0.5)
        ]
        assert run.success_modes(0.6).to_polars().is_empty()  # replaces the first answer
        with pytest.raises(ps.OptionError, match="min_gain must be"):
            run.success_modes(2)
