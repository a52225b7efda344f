"""Whether somebody should look at a label that was found, and why, in words.

In: what was seen of the label, and of the volumes that taught it. Out: a light, a reason,
and how odd it is. A sign is counted in how far the taught volumes reach from their middle:
it has no unit and no cut of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_dinomed.taught.header import Amount, Lesson, Signs

    # How odd, and what is said of it.
    Sign = tuple[float, str]

# Farther from the middle than any that taught; as far again.
_ODD, _WRONG = 1.0, 2.0
# Of what was not found, and the most that is told.
MOST_ODD = 9.0
# Share on which two readers of a model differ, of all that either found, that is odd, and
# that is wrong.
_DOUBTFUL, _USELESS = 0.35, 0.6
# Distances below are alike: half precision tells no more of them.
_LEAST = 1e-3


@dataclass(frozen=True)
class Judgement:
    """What is thought of a label that was found.

    Parameters
    ----------
    light, reason
        ``green``, ``yellow`` or ``red``, and why.
    oddness
        Of its oddest sign: over 1 it is beyond all that taught.
    """

    light: str
    reason: str
    oddness: float


def judged(
    lesson: Lesson,
    amount: Amount | None,
    signs: Signs | None,
    touches_border: bool,
    is_unlike: bool,
) -> Judgement:
    """Judge a label.

    Parameters
    ----------
    lesson
        How it was taught.
    amount, signs
        How much was found, and what was seen of it; None where nothing was.
    touches_border
        Whether it reaches the edge of the volume.
    is_unlike
        Whether the volume is of another kind, spacing or window than those that taught.
    """
    if amount is None or signs is None:
        return Judgement("red", "nothing was found", MOST_ODD)
    told = sorted(_signs(lesson, amount, signs), reverse=True)
    oddness = min(MOST_ODD, round(told[0][0], 3)) if told else 0.0
    reasons = [said for strength, said in told if strength > _ODD]
    if touches_border:
        reasons.append("it reaches the edge of the volume")
    if is_unlike:
        reasons.append("the volume is unlike those that taught")
    light = "red" if oddness > _WRONG else "yellow" if reasons else "green"
    return Judgement(light, "; ".join(reasons), oddness)


def _signs(lesson: Lesson, amount: Amount, signs: Signs) -> Iterator[Sign]:
    """Each sign that the model can tell something of."""
    if signs.doubt is not None:
        said = f"two readers of the model differ on {signs.doubt:.0%} of it"
        yield _doubtful(signs.doubt), said
    apart = lesson.apart.values()
    inside = _farther(signs.apart.inside, [one.inside for one in apart])
    yield inside, "it looks like none that taught"
    around = _farther(signs.apart.around, [one.around for one in apart])
    yield around, "what is around it looks like none that taught"
    # Of all that looks alike there is as much as was in view.
    if signs.size is not None:
        yield from _signs_of_form(lesson, amount, signs.size)


def _signs_of_form(lesson: Lesson, amount: Amount, size: float) -> Iterator[Sign]:
    """What an object's size and surface tell."""
    sizes = [one.size for one in lesson.amounts.values()]
    said = f"its size was {_in_usual(size, sizes)}, as it was first read"
    yield abs(_beyond(size, sizes)), said
    shapes = [one.raggedness for one in lesson.amounts.values()]
    known = [one for one in shapes if one is not None]
    if known and amount.raggedness is not None:
        said = f"its surface is {_in_usual(amount.raggedness, known)} for its volume"
        yield abs(_beyond(amount.raggedness, known)), said


def _doubtful(doubt: float) -> float:
    """How odd a share in doubt is, linear between what is odd and what is wrong."""
    if doubt <= _DOUBTFUL:
        return _ODD * doubt / _DOUBTFUL
    return _ODD + (_WRONG - _ODD) * (doubt - _DOUBTFUL) / (_USELESS - _DOUBTFUL)


def _farther(distance: float, taught: Sequence[float]) -> float:
    """How odd a distance is; none is too small."""
    known = [max(one, _LEAST) for one in taught]
    return max(0.0, _beyond(max(distance, _LEAST), known))


def _beyond(value: float, taught: Sequence[float]) -> float:
    """How far a value lies from the middle of those that taught: 1 as far as any may.

    In ratios. As for sizes, others may lie 1/n beyond the farthest of n that taught.
    """
    if not taught:
        return 0.0
    known = [math.log(one) for one in taught]
    middle = median(known)
    reach = max(abs(one - middle) for one in known) + math.log(1 + 1 / len(known))
    return (math.log(value) - middle) / reach


def _in_usual(value: float, taught: Sequence[float]) -> str:
    """A value in the usual one."""
    return f"{value / median(taught):.2g} times the usual"
