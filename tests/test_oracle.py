"""The oracle against cases that were worked out by hand, so that it can be trusted itself.

Every table is small enough to check on paper; the arithmetic is beside it.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.oracle import Expected, counted_sets, failure_modes

Outcomes = list[tuple[str, int, bool]]
Tags = list[tuple[int, str]]


def table(*groups: tuple[str, int, int], class_name: str = "ape") -> tuple[Outcomes, Tags]:
    """Images of one class from (tags separated by blanks, images, errors among them)."""
    outcomes: Outcomes = []
    tags: Tags = []
    for names, images, errors in groups:
        for number in range(images):
            image_id = len(outcomes)
            outcomes.append((class_name, image_id, number < errors))
            tags.extend((image_id, tag) for tag in names.split())
    return outcomes, tags


# accuracy: class 7/10, a 1/4; drop 0.45
ONE = table(("a", 4, 3), ("", 6, 0))
# accuracy: class 12/16, a and b 4/8 each, a+b 0/4
TWO = table(("a b", 4, 4), ("a", 4, 0), ("b", 4, 0), ("", 4, 0))
# accuracy: class 16/20, single tags 8/12, pairs 4/8, a+b+c 0/4
THREE = table(("a b c", 4, 4), ("a b", 4, 0), ("a c", 4, 0), ("b c", 4, 0), ("", 4, 0))
# accuracy: class 27/30, triples 3/6, a+b+c+d 0/3; pairs 6/9, single tags 9/12
FOUR = table(
    ("a b c d", 3, 3),
    ("a b c", 3, 0),
    ("a b d", 3, 0),
    ("a c d", 3, 0),
    ("b c d", 3, 0),
    ("", 15, 0),
)


def test_single_tag_reports_every_number() -> None:
    modes = failure_modes(*ONE, min_images=4)

    assert modes == {("ape", ("a",)): Expected("ape", ("a",), 4, 3, 10, 3, {"a": 0.7})}
    mode = modes["ape", ("a",)]
    assert mode.accuracy == 0.25
    assert mode.class_accuracy == 0.7
    assert mode.accuracy_drop == pytest.approx(0.45)
    assert mode.excess_errors == pytest.approx(1.8)  # 3 errors, 4 images x 0.3 expected
    assert mode.error_coverage == 1.0


def test_pair_whose_single_tags_are_no_failure_modes() -> None:
    modes = failure_modes(*TWO, min_images=4)

    expected = Expected("ape", ("a", "b"), 4, 4, 16, 4, {"a": 0.5, "b": 0.5})
    assert modes == {("ape", ("a", "b")): expected}


def test_triple_and_its_pairs() -> None:
    strict = failure_modes(*THREE, min_images=4, min_drop=0.31)
    expected = Expected("ape", ("a", "b", "c"), 4, 4, 20, 4, {"a": 0.5, "b": 0.5, "c": 0.5})
    assert strict == {("ape", ("a", "b", "c")): expected}

    # Pairs have a drop of 0.8 - 0.5, which is 0.30000000000000004 in floating point.
    tie = failure_modes(*THREE, min_images=4, min_drop=0.30)
    pairs = {("ape", pair) for pair in [("a", "b"), ("a", "c"), ("b", "c")]}
    assert tie.keys() == pairs | strict.keys()
    assert tie["ape", ("a", "b")].accuracy_without == {"a": 8 / 12, "b": 8 / 12}


def test_max_tags_limits_the_set_size() -> None:
    assert not failure_modes(*THREE, max_tags=2, min_images=4, min_drop=0.31)
    assert not failure_modes(*TWO, max_tags=1, min_images=4)


@pytest.mark.parametrize(("min_images", "found"), [(4, True), (5, False)])
def test_min_images_is_inclusive(min_images: int, found: bool) -> None:
    assert bool(failure_modes(*ONE, min_images=min_images)) is found


@pytest.mark.parametrize(
    ("min_drop", "found"),
    [(0.45, True), (0.45 + 5e-10, True), (0.45 + 2e-9, False), (0.46, False)],
)
def test_min_drop_is_inclusive_within_the_tolerance(min_drop: float, found: bool) -> None:
    assert bool(failure_modes(*ONE, min_images=4, min_drop=min_drop)) is found


@pytest.mark.parametrize(
    ("b2", "found"), [(0.5, True), (0.5 + 5e-10, True), (0.5 + 2e-9, False), (0.51, False)]
)
def test_necessity_is_inclusive_within_the_tolerance(b2: float, found: bool) -> None:
    assert bool(failure_modes(*TWO, min_images=4, necessity=(b2,))) is found


def test_necessity_has_one_value_a_size_and_none_for_single_tags() -> None:
    def found(*necessity: float) -> bool:
        modes = failure_modes(*THREE, min_images=4, min_drop=0.31, necessity=necessity)
        return ("ape", ("a", "b", "c")) in modes

    assert found(0.9, 0.5)  # b2 does not concern triples
    assert not found(0.1, 0.51)
    assert found(0.5)  # b2 is used again beyond the list
    assert not found(0.51)
    assert failure_modes(*ONE, min_images=4, necessity=(0.9,))  # b1 is 0


def test_last_necessity_is_used_again_for_four_tags() -> None:
    whole = ("ape", ("a", "b", "c", "d"))
    options: dict[str, Any] = {"min_images": 3, "min_drop": 0.5}
    assert failure_modes(*FOUR, necessity=(0.9, 0.5), **options).keys() == {whole}
    assert not failure_modes(*FOUR, necessity=(0.0, 0.51), **options)
    assert not failure_modes(*FOUR, necessity=(0.0, 0.0, 0.51), **options)
    mode = failure_modes(*FOUR, **options)[whole]
    assert mode.accuracy_without == dict.fromkeys("abcd", 0.5)


def test_unnecessary_tag_is_left_out() -> None:
    # accuracy: class 12/16, a 0/4, u 8/12, a+u 0/4: u adds nothing to a.
    rows = table(("a u", 4, 4), ("u", 8, 0), ("", 4, 0))
    assert failure_modes(*rows, min_images=4).keys() == {("ape", ("a",))}
    # Without a margin an equal accuracy is enough.
    no_margin = failure_modes(*rows, min_images=4, necessity=(0.0,))
    assert no_margin.keys() == {("ape", ("a",)), ("ape", ("a", "u"))}


def test_one_unnecessary_tag_spoils_the_set() -> None:
    # accuracy: class 13/16, a 2/5, b 9/12, a+b 1/4: without a it is 0.5 better, without b 0.15.
    rows = table(("a b", 4, 3), ("a", 1, 0), ("b", 8, 0), ("", 3, 0))
    assert ("ape", ("a", "b")) in failure_modes(*rows, min_images=4, necessity=(0.15,))
    assert ("ape", ("a", "b")) not in failure_modes(*rows, min_images=4, necessity=(0.16,))


def test_repeated_tag_rows_count_once_and_unknown_images_not_at_all() -> None:
    outcomes, tags = TWO
    unknown = [(image_id, tag) for image_id in range(100, 120) for tag in "abz"]
    assert failure_modes(outcomes, tags * 2 + unknown, min_images=4) == failure_modes(
        outcomes, tags, min_images=4
    )
    assert not failure_modes(outcomes, tags * 2 + unknown, min_images=5)


def test_infrequent_tags_take_no_part() -> None:
    options: dict[str, Any] = {"min_images": 4, "min_drop": 0.3}
    assert failure_modes(*TWO, min_tag_images=8, **options)  # inclusive: a and b have 8 images
    assert not failure_modes(*TWO, min_tag_images=9, **options)
    # A lower threshold admits more tags, but no set smaller than min_images.
    assert failure_modes(*ONE, min_tag_images=1, min_images=4)
    assert not failure_modes(*ONE, min_tag_images=1, min_images=5)


def test_classes_are_searched_apart_and_may_share_images() -> None:
    outcomes, tags = ONE
    # The same images in a second class, where everything is right: accuracy 1 throughout.
    both = outcomes + [("bear", image_id, False) for _, image_id, _ in outcomes]
    assert failure_modes(both, tags, min_images=4).keys() == {("ape", ("a",))}
    # In a third class only the tagged images are wrong, and they are all of the class.
    third = both + [("cat", image_id, True) for image_id in range(4)]
    assert failure_modes(third, tags, min_images=4).keys() == {("ape", ("a",))}
    with pytest.raises(ValueError, match="occurs twice"):
        failure_modes([*outcomes, outcomes[0]], tags)


def test_tags_are_sorted_by_code_point() -> None:
    rows = table(("b é Z", 4, 4), *((pair, 4, 0) for pair in ("b é", "b Z", "é Z")), ("", 4, 0))
    (mode,) = failure_modes(*rows, min_images=4, min_drop=0.31)
    assert mode == ("ape", ("Z", "b", "é"))


def test_nothing_is_found_without_errors_tags_or_images() -> None:
    no_errors = table(("a", 40, 0), ("", 40, 0))
    assert failure_modes(*no_errors) == {}
    assert failure_modes(ONE[0], [], min_images=1) == {}
    assert failure_modes([], ONE[1]) == {}
    # Only a drop of 0 can be met by a class without errors; its coverage has no value.
    (mode,) = failure_modes(*no_errors, min_drop=0.0).values()
    assert mode.accuracy_drop == 0.0
    assert math.isnan(mode.error_coverage)


def test_counted_sets_keep_what_a_failure_mode_could_need() -> None:
    # At least 4 x (0.25 + 0.3) = 2.2 errors; the pair and both its tags have 4.
    assert counted_sets(*TWO, min_images=4) == {
        ("ape", ("a",)): (8, 4),
        ("ape", ("b",)): (8, 4),
        ("ape", ("a", "b")): (4, 4),
    }
    assert counted_sets(*TWO, min_images=4, max_tags=1).keys() == {("ape", (t,)) for t in "ab"}
    # 8 x (0.25 + 0.3) = 4.4 errors.
    assert counted_sets(*TWO, min_images=8, min_tag_images=1) == {}
    assert counted_sets(*TWO, min_images=4, min_tag_images=9) == {}


@pytest.mark.parametrize(
    ("min_drop", "found"), [(0.45, True), (0.45 + 5e-10, True), (0.45 + 2e-9, False)]
)
def test_counted_sets_are_inclusive_within_the_tolerance(min_drop: float, found: bool) -> None:
    # 4 x (0.3 + 0.45) = 3 errors exactly; floating point gives a little more or less.
    assert bool(counted_sets(*ONE, min_images=4, min_drop=min_drop)) is found


def test_counted_sets_include_sets_with_too_few_images() -> None:
    # The bound is 4 x (3/12 + 0.3) = 2.2 errors; a has 3 of them on 3 images.
    rows = table(("a", 3, 3), ("", 9, 0))
    assert counted_sets(*rows, min_images=4, min_tag_images=1) == {("ape", ("a",)): (3, 3)}
    assert failure_modes(*rows, min_images=4, min_tag_images=1) == {}
