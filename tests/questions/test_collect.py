"""What a report holds: every number counted again from the input rows."""

import dataclasses
import json
from itertools import combinations

import polars as pl
import pytest

import prime_sql as ps
from prime_sql.report import Report
from tests import tables as data
from tests.report.page import check_page

# Data ---------------------------------------------------------------------------------------------


def test_headline_and_classes_are_those_of_the_rows(emoji, report):
    predictions, tags, run = emoji
    wrong = predictions.filter(pl.col("label") != pl.col("prediction"))
    headline = report.headline
    assert (headline.images, headline.errors) == (predictions.height, wrong.height)
    assert headline.accuracy == pytest.approx(1 - wrong.height / predictions.height)
    assert headline.classes == predictions["label"].n_unique() == len(report.classes)
    carried = dict(tags.group_by("image_id").agg("tag").iter_rows())

    def errors_in(modes):
        return {
            image
            for image, label in wrong.select("image_id", "label").iter_rows()
            for mode in modes
            if mode.class_name == label and {*mode.tag_names} <= {*carried.get(image, ())}
        }

    modes = run.failure_modes.to_polars()
    assert headline.failure_modes == modes.height == len(report.modes)
    assert headline.mode_errors == len(errors_in(report.modes))
    picked = [mode for mode in report.modes if mode.mode_id in {p.mode_id for p in headline.cover}]
    assert headline.cover[-1].cumulative_errors == len(errors_in(picked))
    assert headline.near_duplicates == sum(mode.hidden for mode in report.modes) > 0
    counted = predictions.group_by("label").agg(
        pl.len(), (pl.col("label") != pl.col("prediction")).sum().alias("errors")
    )
    expected = {label: (images, errors) for label, images, errors in counted.iter_rows()}
    assert {c.class_name: (c.images, c.errors) for c in report.classes} == expected
    by_class = dict(modes.group_by("class_name").len().iter_rows())
    for row in report.classes:
        own = [mode for mode in report.modes if mode.class_name == row.class_name]
        assert row.failure_modes == len(own) == by_class.get(row.class_name, 0)
        assert row.mode_errors == len(errors_in(own))
    shares = [row.mode_errors for row in report.classes]
    assert shares == sorted(shares, reverse=True)


def test_modes_are_all_with_what_is_known_of_them(emoji, report):
    _, _, run = emoji
    stored = run.failure_modes.to_polars()
    assert [mode.mode_id for mode in report.modes] == stored["mode_id"].to_list()
    assert [mode.place for mode in report.modes] == list(range(1, stored.height + 1))
    names = [field.name for field in dataclasses.fields(ps.report.data.Mode)]
    for mode, row in zip(report.modes, stored.to_dicts(), strict=True):
        assert {name: getattr(mode, name) for name in names if name in row} == {
            name: value for name, value in row.items() if name in names
        }
        assert " + ".join(mode.tag_names) == mode.tags
        assert mode.accuracy_low <= mode.accuracy <= mode.accuracy_high
        assert mode.verdict is mode.unseen_accuracy_drop is None
    chance = {row["mode_id"]: row for row in run.query("chance").to_polars().to_dicts()}
    families = {row["mode_id"]: row for row in run.families().to_polars().to_dicts()}
    for mode in report.modes:
        for name in ("accuracy_low", "accuracy_high", "p_value"):
            assert getattr(mode, name) == pytest.approx(chance[mode.mode_id][name])
        for name in ("hidden", "representative_id", "representative_tags"):
            assert getattr(mode, name) == families[mode.mode_id][name]


def test_cards_are_counted_again_from_the_rows(emoji, report):
    predictions, tags, run = emoji
    order = [pick.mode_id for pick in report.headline.cover]
    rest = [mode.mode_id for mode in report.modes if mode.mode_id not in order]
    assert [card.mode_id for card in report.cards] == [*order, *rest][:50]
    modes = {mode.mode_id: mode for mode in report.modes}
    carriers = {tag: {*ids} for tag, ids in tags.group_by("tag").agg("image_id").iter_rows()}
    for card in report.cards[:8]:
        mode = modes[card.mode_id]
        group = predictions.filter(pl.col("label") == mode.class_name)
        expected = {}
        for size in range(mode.tag_count + 1):
            for some in combinations(mode.tag_names, size):
                wanted = set.intersection({*group["image_id"]}, *(carriers[tag] for tag in some))
                inside = group.filter(pl.col("image_id").is_in(list(wanted)))
                wrong = inside.filter(pl.col("prediction") != mode.class_name)
                expected[" + ".join(some)] = (inside.height, wrong.height)
        assert {s.tags: (s.images, s.errors) for s in card.subsets} == expected
        assert (card.subsets[0].tags, card.subsets[-1].tags) == ("", mode.tags)
        guesses = dict(wrong["prediction"].value_counts().iter_rows())  # of the whole set
        assert card.names == len(guesses)
        assert {w.name: w.images for w in card.wrong_predictions}.items() <= guesses.items()
        assert sum(w.error_share for w in card.wrong_predictions) <= 1 + 1e-9
        explained = run.explain(mode.mode_id).wrong_predictions.to_polars().to_dicts()
        assert [tuple(dataclasses.asdict(w).values()) for w in card.wrong_predictions] == [
            pytest.approx(tuple(row.values())) for row in explained[:5]
        ]
        hard = [e.image_id for e in card.examples if e.error]
        assert {*hard} <= {*wrong["image_id"]}
        assert len(hard) == min(6, mode.errors)
        easy = {e.image_id for e in card.examples if not e.error}
        assert easy <= {*inside["image_id"]} - {*wrong["image_id"]}
        assert len(easy) == min(3, mode.images - mode.errors)
        copied = run.sql(card.sql.rstrip(";")).to_polars()
        assert {*copied["image_id"]} == {*inside["image_id"]}
        assert copied["error"].to_list() == sorted(copied["error"], reverse=True)


@pytest.mark.parametrize("options", [{"max_tags": 3}, {"max_tags": 3, "max_absent": 2}])
def test_subsets_are_those_that_explain_gives(options):
    with data.search(min_drop=0.05, necessity=(0,), min_images=3, **options) as run:
        report = run.report(cards=12)
        assert any(mode.tag_count > 1 for mode in report.modes)
        for card in report.cards:
            explained = run.explain(card.mode_id).subsets.to_polars().drop("accuracy_drop")
            assert [dataclasses.asdict(subset) for subset in card.subsets] == explained.to_dicts()


def test_where_the_class_is_the_prediction_labels_tell_the_errors_apart():
    with data.search(group_by="prediction", min_drop=0.05, min_images=3) as run:
        report = run.report()
        assert report.told_by == "label"
        assert len(report.cards) > 1
        for card in report.cards:
            explained = run.explain(card.mode_id).wrong_predictions.to_polars()
            assert [w.name for w in card.wrong_predictions] == explained["label"].to_list()
            assert [w.images for w in card.wrong_predictions] == explained["images"].to_list()
            assert all(e.label in explained["label"] for e in card.examples if e.error)
    text = check_page(report.to_html()).text
    assert "What its errors really are" in text
    assert "taken for" not in text


def test_a_refiltered_run_has_its_images_from_the_run_that_counted():
    with (
        data.search(min_drop=0.1) as run,
        run.refilter(min_drop=0.3) as again,
        data.search() as new,
    ):
        told, expected = again.report(), new.report()
    assert (told.search.run_id, told.search.counted_run_id) == (2, 1)
    assert told.modes == expected.modes
    assert told.headline == expected.headline
    assert [card.examples for card in told.cards] == [card.examples for card in expected.cards]
    assert "from the counts of run 1" in check_page(told.to_html()).text


def test_one_query_for_all_cards_however_many():
    with data.search(min_drop=0.05, necessity=(0,), min_images=3) as run:
        counts = []
        for cards in (1, 10):
            seen = []
            run.report(top=1, cards=cards, on_sql=seen.append)
            counts.append(len(seen))
        assert counts[0] == counts[1]


def test_json_holds_all_of_it_and_comes_back(report):
    text = report.to_json()
    assert Report.from_json(text) == report
    value = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert value["format"] == "prime_sql report 1"
    assert len(value["modes"]) == len(report.modes)
    assert value["search"]["options"]["min_images"] == 10


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', "null", "nonsense"])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ps.OptionError, match="not "):
        Report.from_json(text)


def test_the_same_run_gives_the_same_report(emoji, report):
    again = emoji[2].report()
    assert again.to_json() == report.to_json()
    assert again.to_html() == report.to_html()


@pytest.mark.parametrize("wrong", [{"cards": -1}, {"cards": "3"}, {"top": 0}, {"runs": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with data.search() as run, pytest.raises(ps.OptionError, match=next(iter(wrong))):
        run.report(**wrong)


# History ------------------------------------------------------------------------------------------


def test_history_is_that_of_the_run(nightly):
    with ps.open_run(nightly) as run:
        report = run.report()
        changes = run.changes.to_polars()
        followed = run.history().to_polars()
        short = run.report(runs=2)
    history = report.history
    assert (history.previous.run_id, [r.run_id for r in history.runs]) == (4, [1, 2, 4, 5])
    assert [change.mode_id for change in history.changes] == changes["mode_id"].to_list()
    renamed = {"images_before": "images_a", "accuracy_before": "accuracy_a"}
    renamed |= {"images": "images_b", "accuracy": "accuracy_b"}
    for change, row in zip(history.changes, changes.to_dicts(), strict=True):
        for name, value in dataclasses.asdict(change).items():
            told = row[renamed.get(name, name)]
            # DuckDB adds numbers in any order: the last digit of a p-value may be another one.
            assert value == (pytest.approx(told) if isinstance(told, float) else told)
    statuses = changes["status"].to_list()
    for status in ("new", "persisting", "fixed", "undecided"):
        assert getattr(history, status) == statuses.count(status)
    assert history.fixed > 0
    assert history.new > 0
    assert [t.mode_id for t in history.trends] == [
        c.mode_id for c in history.changes if c.mode_id in {m.mode_id for m in report.modes}
    ]
    for trend in history.trends:
        rows = followed.filter(pl.col("mode_id") == trend.mode_id).sort("run_id")
        assert list(trend.accuracies) == rows["accuracy"].to_list()
        assert list(trend.images) == rows["images"].to_list()
    assert [t.accuracies for t in short.history.trends] == [
        t.accuracies[2:] for t in history.trends
    ]
    assert Report.from_json(report.to_json()) == report
