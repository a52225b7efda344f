"""A light says whether somebody should look, and the reason is in words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.batch.light import MOST_ODD, judged
from napari_dinomed.taught.header import Amount, Apart, Lesson, Signs

SIZES = (900.0, 1000.0, 1000.0, 1100.0)
APART = Apart(0.1, 0.2)
LESSON = Lesson(
    new_label(1),
    {n: Amount(int(size), size, 6 * size ** (2 / 3)) for n, size in enumerate(SIZES)},
    apart={n: Apart(0.1 + 0.01 * n, 0.2 + 0.01 * n) for n in range(len(SIZES))},
)
AMOUNT, SIGNS = LESSON.amounts[1], Signs(0.1, APART, 1000.0)


def _judged(lesson=LESSON, amount=AMOUNT, signs=SIGNS, border=False, unlike=False):
    return judged(lesson, amount, signs, border, unlike)


def test_what_is_as_usual_is_green():
    judgement = _judged()
    assert (judgement.light, judgement.reason) == ("green", "")
    assert 0 <= judgement.oddness < 1


@pytest.mark.parametrize(
    ("yellow", "red", "reason"),
    [
        ({"doubt": 0.45}, {"doubt": 0.7}, r"two readers .* differ on (45|70)% of it"),
        ({"apart": Apart(0.2, 0.2)}, {"apart": Apart(0.9, 0.2)}, "^it looks like none"),
        ({"apart": Apart(0.1, 0.33)}, {"apart": Apart(0.1, 0.9)}, "^what is around it"),
        ({"size": 1500.0}, {"size": 3000.0}, r"size was (1\.5|3) times the usual"),
        ({"size": 600.0}, {"size": 300.0}, r"size was 0\.[63] times the usual"),
    ],
)
def test_what_is_odd_is_yellow_and_twice_as_odd_red(yellow, red, reason):
    for light, odd in (("yellow", yellow), ("red", red)):
        judgement = _judged(signs=replace(SIGNS, **odd))
        assert judgement.light == light
        assert re.search(reason, judgement.reason)


@pytest.mark.parametrize(
    ("factor", "light"), [(1.4, "yellow"), (0.7, "yellow"), (3, "red")]
)
def test_an_odd_shape_is_told_by_its_surface(factor, light):
    judgement = _judged(amount=replace(AMOUNT, surface=factor * AMOUNT.surface))
    assert judgement.light == light
    assert f"its surface is {factor:.2g} times the usual" in judgement.reason


def test_nothing_found_is_red():
    judgement = _judged(amount=None, signs=None)
    assert (judgement.light, judgement.reason) == ("red", "nothing was found")
    assert judgement.oddness == MOST_ODD


def test_the_border_and_another_kind_of_volume_are_never_green():
    assert _judged(border=True).light == "yellow"
    assert "edge of the volume" in _judged(border=True).reason
    assert _judged(unlike=True).light == "yellow"
    assert "unlike those that taught" in _judged(unlike=True).reason


def test_the_oddest_sign_is_said_first():
    judgement = _judged(signs=Signs(0.5, Apart(0.9, 0.2), 1000.0), border=True)
    first, second, third = judgement.reason.split("; ")
    assert first.startswith("it looks")
    assert second.startswith("two readers")
    assert third.startswith("it reaches")


def test_a_single_reader_is_never_in_doubt():
    assert _judged(signs=replace(SIGNS, doubt=None)).light == "green"


def test_of_all_that_looks_alike_neither_size_nor_surface_is_odd():
    judgement = _judged(amount=Amount(9, 9.0, 900.0), signs=replace(SIGNS, size=None))
    assert judgement.light == "green"


def test_a_model_of_before_tells_by_what_it_has():
    amounts = {n: replace(one, surface=None) for n, one in LESSON.amounts.items()}
    before = replace(LESSON, amounts=amounts, apart={})
    odd = Amount(1000, 1000.0, 9000.0)
    signs = replace(SIGNS, apart=Apart(0.9, 0.9))
    assert _judged(before, odd, signs).light == "green"
    assert _judged(before, odd, replace(signs, size=9000.0)).light == "red"


@pytest.mark.parametrize(("size", "light"), [(1800.0, "green"), (2200.0, "yellow")])
def test_one_volume_lets_others_be_half_to_double(size, light):
    single = replace(LESSON, amounts={0: LESSON.amounts[1]}, apart={})
    assert _judged(single, signs=replace(SIGNS, size=size)).light == light
