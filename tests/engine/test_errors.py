"""Messages stay short, whatever is in a cell or a name."""

import pickle
import warnings

import pytest

import prime_sql as ps
from prime_sql.engine.errors import cut, did_you_mean, shorten, shorten_list, warn
from tests import tables as data

HUGE = "x" * 5_000_000


def test_a_line_loses_its_middle():
    assert cut("a" * 480) == "a" * 480
    assert cut("begin" + HUGE + "end", 20) == "beginxxxxxxxx…xxxend"
    message = str(ps.InputError(f"one {HUGE} first\ntwo {HUGE} second\n\nSQL of the step:\n{HUGE}"))
    said, _, sql = message.partition("\n\n")
    assert sql == f"SQL of the step:\n{HUGE}"
    one, two = said.split("\n")
    assert len(one) == len(two) == 480
    assert one.startswith("one x")
    assert one.endswith("x first")
    assert two.startswith("two x")
    assert two.endswith("x second")


def test_an_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(ps.OptionError("what is wrong")))
    assert (type(error), str(error)) == (ps.OptionError, "what is wrong")


def test_values_and_names():
    assert shorten(HUGE) == "'" + "x" * 78 + "…"
    assert shorten("it's") == '"it\'s"'
    assert shorten_list([HUGE, "b"]) == "x" * 59 + "…, b"
    assert did_you_mean(HUGE, [HUGE, "b"]) == ""
    assert did_you_mean("lable", [HUGE, "label"]) == " Did you mean 'label'?"
    with pytest.warns(ps.InputWarning) as caught:
        warn(HUGE)
    assert len(str(caught[0].message)) == 480


# What each of these tables is refused for, or warned of, has a cell of megabytes for an example.
TABLES = {
    "predictions twice": ([*data.PREDICTIONS, data.PREDICTIONS[0] | {"image_id": HUGE}] * 2, None),
    "no label": ([{"image_id": HUGE, "label": None, "prediction": "a"}], None),
    "a blank tag": (None, [{"image_id": HUGE, "tag": " "}, *data.TAGS]),
    "a tag that is a number": (None, [{"image_id": HUGE, "tag": 1.5}]),
    "tags of nobody": (None, [{"image_id": HUGE, "tag": "a"}]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_cell_of_megabytes_does_not_fill_the_screen(kind):
    predictions, tags = TABLES[kind]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            data.search(predictions and data.frame(predictions), tags and data.frame(tags)).close()
        except ps.PrimeSqlError as error:
            messages = [str(error)]
        else:
            messages = [str(each.message) for each in caught]
    assert messages
    assert all(len(each) < 600 for each in messages)
