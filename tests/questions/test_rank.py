"""Cover, families and overlaps, against plain Python sets."""

from math import ceil

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from prime_sql.demo import demo
from prime_sql.questions import rank
from tests import tables as data
from tests.examples import examples
from tests.generated import frames, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

KEYS = {"excess_errors": "excess_errors", "drop": "accuracy_drop", "images": "images"}

COVER = [
    *["rank", "mode_id", "class_name", "tags", "images", "errors", "accuracy", "accuracy_drop"],
    *["new_errors", "cumulative_errors", "cumulative_coverage"],
]


class Sets:
    """The images and errors of each mode as sets, by brute force over the tables."""

    def __init__(self, run, predictions, tags):
        carried = {}
        for image, tag in tags:
            carried.setdefault(image, set()).add(tag)
        wanted = {}
        for row in run.failure_mode_tags.to_polars().to_dicts():
            wanted.setdefault(row["mode_id"], []).append((row["tag"], row["present"]))
        self.modes = {row["mode_id"]: row for row in run.failure_modes.to_polars().to_dicts()}
        self.images = {
            mode_id: {
                image
                for image, label, _ in predictions
                if label == mode["class_name"]
                and all((tag in carried.get(image, ())) == is_in for tag, is_in in wanted[mode_id])
            }
            for mode_id, mode in self.modes.items()
        }
        self.wrong = {image for image, label, prediction in predictions if label != prediction}

    def ranked(self, by):
        p_values = self.p_values if by == "p" else {}

        def key(mode_id):
            mode = self.modes[mode_id]
            best = p_values[mode_id] if by == "p" else -mode[KEYS[by]]
            return best, mode["class_name"], mode["tags"], mode_id

        return sorted(self.modes, key=key)

    def families(self, by, overlap):
        """(mode_id, hidden_by, representative, share) of every mode in order."""
        found = {}
        ranked = self.ranked(by)
        for place, mode_id in enumerate(ranked):
            own = self.images[mode_id]
            hidden_by = next(
                (
                    better
                    for better in ranked[:place]
                    if self.modes[better]["class_name"] == self.modes[mode_id]["class_name"]
                    and len(own & self.images[better]) >= ceil(overlap * len(own) - 1e-9)
                ),
                None,
            )
            stands = mode_id if hidden_by is None else found[hidden_by][2]
            share = len(own & self.images[stands]) / len(own)
            found[mode_id] = (mode_id, hidden_by, stands, share)
        return list(found.values())

    def cover(self, by, overlap, top):
        """(mode_id, new errors) of each pick."""
        left = {
            mode_id: self.images[mode_id] & self.wrong
            for mode_id, hidden_by, _, _ in self.families(by, overlap or 1)
            if hidden_by is None or overlap is None
        }
        picks = []
        while len(picks) < (top or len(left)) and any(left.values()):
            best = max(left, key=lambda mode_id: len(left[mode_id]))  # the first of several
            new = left[best]
            picks.append((best, len(new)))
            left = {mode_id: errors - new for mode_id, errors in left.items()}
        return picks

    def overlaps(self, min_jaccard):
        ranked = self.ranked("excess_errors")
        pairs = []
        for a, first in enumerate(ranked):
            for b, second in enumerate(ranked[a + 1 :], a + 1):
                both = self.images[first] & self.images[second]
                jaccard = len(both) / len(self.images[first] | self.images[second])
                if both and jaccard >= min_jaccard - 1e-9:
                    pairs.append((-jaccard, -len(both), a, b, len(both & self.wrong)))
        return [
            (ranked[a], ranked[b], -shared, errors, pytest.approx(-jaccard))
            for jaccard, shared, a, b, errors in sorted(pairs)
        ]


def assert_same(run, sets, by, overlap, top, min_jaccard):
    families = run.families(by=by, overlap=overlap).to_polars()
    expected = sets.families(by, overlap)
    shown = families.select("mode_id", "hidden_by", "representative_id", "share").rows()
    assert shown == [(*row[:3], pytest.approx(row[3])) for row in expected]
    assert families["place"].to_list() == list(range(1, len(expected) + 1))
    assert families["hidden"].to_list() == [row[1] is not None for row in expected]
    tags = {mode_id: mode["tags"] for mode_id, mode in sets.modes.items()}
    assert families["representative_tags"].to_list() == [tags[row[2]] for row in expected]

    for hides in (overlap, None):
        summary = rank.summarize(run, top, by, hides)
        picks = sets.cover(by, hides, top)
        assert summary.cover.select("mode_id", "new_errors").rows() == picks
        assert summary.cover["rank"].to_list() == list(range(1, len(picks) + 1))
        assert summary.cover["cumulative_errors"].to_list() == [
            sum(new for _, new in picks[: number + 1]) for number in range(len(picks))
        ]
        assert summary.modes == len(sets.modes)
        assert summary.hidden == (0 if hides is None else families["hidden"].sum())
        assert summary.errors == len(sets.wrong)
        assert summary.explained == sum(new for _, new in picks)
        assert summary.complete == (picks == sets.cover(by, hides, None))
        for row in summary.cover.to_dicts():
            assert row["cumulative_coverage"] == pytest.approx(
                row["cumulative_errors"] / len(sets.wrong)
            )
            mode = sets.modes[row["mode_id"]]
            assert all(
                row[name] == mode[name]
                for name in ("class_name", "tags", "images", "errors", "accuracy", "accuracy_drop")
            )

    overlaps = run.overlaps(min_jaccard=min_jaccard).to_polars()
    columns = ("mode_id", "other_mode_id", "shared_images", "shared_errors", "jaccard")
    assert overlaps.select(columns).rows() == sets.overlaps(min_jaccard)
    for row in overlaps.to_dicts():
        assert row["share"] == pytest.approx(row["shared_images"] / row["images"])
        assert row["other_share"] == pytest.approx(row["shared_images"] / row["other_images"])


@examples(10)
@given(
    rows=tables(),
    min_images=st.integers(1, 3),
    max_absent=st.integers(0, 2),
    by=st.sampled_from(list(KEYS)),
    overlap=st.sampled_from([0.3, 0.5, 2 / 3, 0.75, 0.9, 1]),
    top=st.sampled_from([1, 2, 10, None]),
    min_jaccard=st.sampled_from([0, 0.25, 0.5, 1]),
)
def test_sets_of_any_tables(rows, min_images, max_absent, by, overlap, top, min_jaccard):
    options = {"min_images": min_images, "max_absent": max_absent, "max_tags": 3}
    with ps.search(*frames(*rows), min_drop=0.1, necessity=(0.0,), **options) as run:
        assert_same(run, Sets(run, *rows), by, overlap, top, min_jaccard)


@pytest.fixture(scope="module")
def emoji():
    """A run of the emoji with many near-duplicates, and its tables."""
    read = [
        pl.read_parquet(demo.FOLDER / f"{name}.parquet", columns=columns)
        for name, columns in (
            ("predictions", ["image_id", "label", "prediction"]),
            ("tags", ["image_id", "tag"]),
        )
    ]
    run = ps.search(*read, max_tags=3, min_images=8, min_drop=0.25, necessity=(0.01,))
    yield run, Sets(run, *(frame.rows() for frame in read))
    run.close()


@pytest.mark.parametrize("by", rank.ORDERS)
def test_the_emoji(emoji, by):
    run, sets = emoji
    p_values = run.sql("select mode_id, p_value from failure_mode_chance").to_polars()
    sets.p_values = dict(p_values.rows())
    assert len(sets.modes) > 150
    overlap = 0.9 if by == "excess_errors" else 0.6
    assert_same(run, sets, by, overlap, 12, 0.5)
    assert run.cover(by=by).to_polars().height == 10


def modes_of(groups):
    """A run on groups of (class, tags, right images, wrong images)."""
    predictions, tags = [], []
    for label, names, right, wrong in groups:
        for number in range(right + wrong):
            image = f"i{len(predictions)}"
            predictions.append((image, label, label if number < right else f"no {label}"))
            tags += [(image, tag) for tag in names.split()]
    run = ps.search(*frames(predictions, tags), min_images=4, max_tags=1)
    return run, Sets(run, predictions, tags)


def test_modes_that_share_all_their_images():
    run, sets = modes_of([("ape", "a b c d", 0, 5), ("ape", "x", 10, 0)])
    assert_same(run, sets, "excess_errors", 0.9, 10, 0.5)
    families = run.families().to_polars()
    assert families["tags"].to_list() == ["a", "b", "c", "d"]  # ties go by the tags
    assert families["representative_tags"].to_list() == ["a"] * 4
    assert families["share"].to_list() == [1.0] * 4
    assert run.cover().to_polars()["tags"].to_list() == ["a"]
    assert run.overlaps().to_polars().height == 6
    # With nothing hidden the others still explain no new error.
    summary = rank.summarize(run, overlap=None)
    assert (summary.cover.height, summary.hidden, summary.complete) == (1, 0, True)


def test_different_images_with_the_same_sums_are_no_copies():
    """Numbers 0, 4, 5 and 1, 2, 6 have the same count, sum and sum of squares."""
    groups = [("a", 0), ("b", 1), ("b", 2), ("", 3), ("a", 4), ("a", 5), ("b", 6)]
    predictions = [(f"i{number}", "ape", "bee") for _, number in groups]
    predictions += [(f"j{number}", "ape", "ape") for number in range(20)]
    tags = [(f"i{number}", tag) for tag, number in groups if tag] + [("j0", "z")]
    run = ps.search(*frames(predictions, tags), min_images=3, max_tags=1)
    numbers = run.sql("from prime.outcomes where error = 1").to_polars()
    assert dict(numbers.select("image_id", "image_no").rows()) == {f"i{n}": n for n in range(7)}
    assert_same(run, Sets(run, predictions, tags), "excess_errors", 0.9, 10, 0.0)
    assert not run.families().to_polars()["hidden"].any()


def test_a_chain_leads_to_a_mode_that_is_shown():
    """Ranked by images, c's are mostly b's and b's mostly a's, but few enough of c's are a's."""
    groups = [
        ("ape", "a", 0, 5),
        ("ape", "a b", 0, 15),
        ("ape", "b c", 0, 2),
        ("ape", "a b c", 0, 1),
        ("ape", "c", 0, 1),
        ("ape", "x", 60, 0),
    ]
    run, sets = modes_of(groups)
    families = run.families(overlap=0.75, by="images").to_polars()
    assert families.select("tags", "hidden", "representative_tags", "share").rows() == [
        ("a", False, "a", 1.0),
        ("b", True, "a", pytest.approx(16 / 18)),
        ("c", True, "a", pytest.approx(1 / 4)),
    ]
    ids = dict(families.select("tags", "mode_id").rows())
    assert families["hidden_by"].to_list() == [None, ids["a"], ids["b"]]
    assert_same(run, sets, "images", 0.75, 10, 0.1)


def test_classes_do_not_hide_each_other():
    run, sets = modes_of(
        [("ape", "t", 0, 5), ("ape", "", 9, 0), ("bee", "t", 0, 5), ("bee", "", 9, 0)]
    )
    assert run.families().to_polars()["hidden"].to_list() == [False, False]
    assert run.cover().to_polars()["class_name"].to_list() == ["ape", "bee"]
    assert run.overlaps(min_jaccard=0).to_polars().height == 0
    assert_same(run, sets, "excess_errors", 0.9, 10, 0.5)


def test_an_image_in_two_classes_is_two_errors():
    predictions, tags = frames(
        [(f"i{n}", label, "cow") for n in range(4) for label in ("ape", "bee")]
        + [(f"j{n}", label, label) for n in range(9) for label in ("ape", "bee")],
        [(f"i{n}", "t") for n in range(4)],
    )
    with ps.search(predictions, tags, min_images=4, max_tags=1) as run:
        assert run.cover().to_polars()["cumulative_errors"].to_list() == [4, 8]


def test_no_failure_modes():
    with data.search(min_images=30) as run:
        cover, families, overlaps = run.cover(), run.families(), run.overlaps()
        assert list(cover.columns) == COVER
        for relation in (cover, families, overlaps):
            assert relation.to_polars().height == 0
        summary = rank.summarize(run)
        assert (summary.modes, summary.hidden, summary.explained) == (0, 0, 0)


def test_results_join_with_the_run():
    with data.search() as run:
        joined = run.failure_modes.table.join(run.cover().table, "mode_id")
        assert joined.count().to_pyarrow().as_py() == 3
        assert run.cover().to_polars().columns == COVER


def test_a_refiltered_run_and_a_file_open_for_reading(tmp_path):
    path = tmp_path / "prime.duckdb"
    with data.search(into=path) as run:
        assert run.refilter(min_drop=0.5).cover().to_polars().height < 3
    with ps.open_run(path, 1) as run:
        assert run.cover().to_polars().height == 3


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("cover", {"top": 0}, "top must be at least 1, got 0"),
        ("cover", {"top": True}, "top must be a whole number, got True"),
        ("cover", {"by": "drops"}, "Did you mean 'drop'?"),
        ("cover", {"overlap": 0}, "overlap must be a share, above 0 and at most 1, got 0"),
        ("families", {"overlap": 1.1}, "overlap must be a share"),
        ("families", {"overlap": float("nan")}, "overlap must be a share"),
        ("families", {"by": "accuracy"}, "by must be one of excess_errors, drop, p, images"),
        ("overlaps", {"min_jaccard": -0.1}, "min_jaccard must be a share, from 0 to 1, got -0.1"),
        ("overlaps", {"min_jaccard": "half"}, "min_jaccard must be a share"),
    ],
)
def test_values_out_of_range(method, options, message):
    with data.search() as run, pytest.raises(ps.OptionError) as error:
        getattr(run, method)(**options)
    assert message in str(error.value)


def test_mode_images_are_those_of_the_view(emoji):
    run, _ = emoji
    rows = run.sql("select mode_id, image_id, error from failure_mode_images").to_polars().rows()
    with rank._session(run, None) as warehouse:
        numbers = warehouse.execute(
            "test",
            f"with {run.scope('outcomes')} select i.mode_id, o.image_id, i.error "
            "from mode_images i inner join outcomes o "
            "on o.class_id = i.class_id and o.image_no = i.image_no",
        )
    assert sorted(rows) == sorted(numbers)
