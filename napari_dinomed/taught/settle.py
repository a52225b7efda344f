"""How labels are read best: tried on volumes that did not teach, then learnt from all.

In: a model with its examples. Out: for each label the ways whose mean does best, and where
to cut it; and what these ways learn from all examples. A mean of ways that err apart is
better than each (Breiman, Machine Learning 1996).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import torch

from napari_dinomed.taught.apart import apart_when_held_out
from napari_dinomed.taught.examples import distinct
from napari_dinomed.taught.header import Reading, Way
from napari_dinomed.taught.learners import LEARNERS
from napari_dinomed.taught.surroundings import places_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.taught.examples import Examples
    from napari_dinomed.taught.header import Lesson
    from napari_dinomed.taught.model import TaughtModel

# What is tried. Neighbours in surroundings are much alike wherever they are.
_WAYS = (
    Way("knn", "looks"),
    Way("probe", "looks"),
    Way("probe", "both"),
    Way("perceptron", "both"),
    Way("perceptron", "surroundings"),
)
# What a single volume may teach: nothing tells whether surroundings hold in others.
_WAYS_OF_ONE = _WAYS[:2]
# Examples that are tried at most, so that settling takes half a minute.
_TRIED = 16_000
# Parts that volumes are divided into for trials.
_FOLDS = 3
_LEAST_SPREAD = 1e-3
# In spreads of what belongs; a perceptron that is wrong is as sure as one that is right.
_SURE = 2.0


def settled(model: TaughtModel, learner: str | None = None) -> Iterator[TaughtModel]:
    """A model whose labels are read as does best on volumes that were not taught.

    Parameters
    ----------
    model
        What was taught.
    learner
        The only one to try, or None for all.

    Yields
    ------
    TaughtModel
        After each step of some seconds; the last one is complete.
    """
    tried = tried_of(model.examples)
    lessons = [lesson for lesson in model.header.lessons if lesson.amounts]
    several = [lesson for lesson in lessons if _is_in_several_folds(tried, lesson)]
    ways = [way for way in _WAYS if learner in (None, way.learner)]
    held: dict[Way, torch.Tensor] = {}
    for way in ways if several else ():
        for logits in _held_out(tried, several, way):
            yield model
            held[way] = logits
    chosen: dict[int, Lesson] = {}
    for number, lesson in enumerate(several):
        own = {way: logits[:, number] for way, logits in held.items()}
        chosen[lesson.label.id] = _settled(tried, lesson, own)
    for lesson in lessons:
        if lesson.label.id not in chosen:
            few = [way for way in _WAYS_OF_ONE if learner in (None, way.learner)] or ways
            own = {way: _of_halves(tried, lesson, way) for way in few}
            yield model
            chosen[lesson.label.id] = _settled(tried, lesson, own)
    for number in chosen:
        apart = apart_when_held_out(tried, number)
        chosen[number] = replace(chosen[number], apart=apart)
        yield model
    done = tuple(chosen[lesson.label.id] for lesson in lessons)
    complete = replace(model, header=replace(model.header, lessons=done))
    examples = Told.of(model.examples, done)
    learnt = {}
    for way in complete.header.ways:
        learnt[way] = LEARNERS[way.learner].fit(*examples.given(way))
        yield model
    yield replace(complete, learnt=learnt)


def tried_of(examples: Examples) -> Examples:
    """As many examples as are tried, and proposals compared with."""
    return examples.thinned(_TRIED)


def score_of(logits: torch.Tensor, cut: float, spread: float) -> torch.Tensor:
    """Logits on a scale that ways share: 0 at the cut, none far surer than others."""
    return ((logits - cut) / spread).clamp(-_SURE, _SURE)


def features_of(looks: torch.Tensor, surroundings: torch.Tensor, way: Way) -> torch.Tensor:
    """What a way is told of places, (n, parts)."""
    told = {
        "looks": (looks,),
        "surroundings": (surroundings,),
        "both": (looks, surroundings),
    }
    return torch.cat([part.float() for part in told[way.told]], dim=1)


@dataclass(frozen=True, eq=False)
class Told:
    """Examples as learners take them.

    Parameters
    ----------
    examples
        The examples.
    belongs, known
        Whether each is of each label, and whether its volume has that label, (n, labels).
    """

    examples: Examples
    belongs: torch.Tensor
    known: torch.Tensor

    @classmethod
    def of(cls, examples: Examples, lessons: list[Lesson] | tuple[Lesson, ...]) -> Told:
        """Examples, and what they say of some labels."""
        belongs = [examples.classes == lesson.label.id for lesson in lessons]
        known = [
            torch.isin(examples.cases, torch.tensor(list(lesson.amounts)))
            for lesson in lessons
        ]
        return cls(examples, torch.stack(belongs, dim=1), torch.stack(known, dim=1))

    def given(
        self, way: Way, which: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features, belongs and known, of those that say something, or of some (n,)."""
        if which is None:
            which = torch.ones(len(self.examples), dtype=torch.bool)
        which = which & self.known.any(1)
        return self.features(way)[which], self.belongs[which], self.known[which]

    def features(self, way: Way) -> torch.Tensor:
        """What a way is told of all of them."""
        return features_of(self.examples.looks, self.examples.surroundings, way)


def _held_out(tried: Examples, lessons: list[Lesson], way: Way) -> Iterator[torch.Tensor]:
    """Logits (n, labels) by what other volumes taught; complete when the last comes."""
    told, learner = Told.of(tried, lessons), LEARNERS[way.learner]
    logits, features = torch.zeros(told.known.shape), told.features(way)
    folds = _fold_of(tried)
    for fold in distinct(folds):
        is_held = folds == fold
        learnt = learner.fit(*told.given(way, ~is_held))
        logits[is_held] = learner.read(learnt, features[is_held])
        yield logits


def _of_halves(tried: Examples, lesson: Lesson, way: Way) -> torch.Tensor:
    """Logits (n,) by what the other half of the label's only volumes taught."""
    told, learner = Told.of(tried, [lesson]), LEARNERS[way.learner]
    places, features = places_in(tried.surroundings), told.features(way)
    low, high = places[told.belongs[:, 0]].aminmax(dim=0)
    axis = int((high - low).argmax())
    upper, logits = places[:, axis] > (low[axis] + high[axis]) / 2, torch.zeros(len(tried))
    for is_held in (upper, ~upper):
        learnt = learner.fit(*told.given(way, ~is_held))
        logits[is_held] = learner.read(learnt, features[is_held])[:, 0]
    return logits


def _fold_of(examples: Examples) -> torch.Tensor:
    """The part that each example's volume belongs to."""
    rank = torch.searchsorted(distinct(examples.cases), examples.cases)
    return rank % _FOLDS


def _is_in_several_folds(examples: Examples, lesson: Lesson) -> bool:
    own = examples.classes == lesson.label.id
    return len(distinct(_fold_of(examples)[own])) > 1


def _settled(tried: Examples, lesson: Lesson, held: dict[Way, torch.Tensor]) -> Lesson:
    """A lesson with the ways whose mean agrees best with the examples."""
    own = torch.isin(tried.cases, torch.tensor(list(lesson.amounts)))
    examples = tried.chosen(own)
    belongs = examples.classes == lesson.label.id
    readings, scores = [], {}
    for way, logits in held.items():
        cut = best_cut(logits[own], belongs, examples.weights)
        spread = float((logits[own][belongs] - cut).abs().median())
        spread = max(_LEAST_SPREAD, spread)
        scores[way] = score_of(logits[own], cut, spread)
        readings.append(
            Reading(way, cut, spread, _dice_of_cases(examples, scores[way] > 0, belongs))
        )
    readings.sort(key=lambda reading: -sum(reading.dice))
    # Figures of what was taught before say nothing of what is taught now.
    best = replace(lesson, readings=())
    # Two at least, where there are two: where they differ, an answer is in doubt.
    for count in range(min(2, len(readings)), len(readings) + 1):
        for members in combinations(readings, count):
            mean = torch.stack([scores[reading.way] for reading in members]).mean(0)
            cut = best_cut(mean, belongs, examples.weights)
            dice = _dice_of_cases(examples, mean > cut, belongs)
            if not best.readings or sum(dice) > sum(best.dice):
                best = replace(lesson, readings=members, cut=cut, dice=dice)
    return best


def best_cut(logits: torch.Tensor, belongs: torch.Tensor, weights: torch.Tensor) -> float:
    """The logit over which examples agree best with what they are, by Dice.

    It lies between two logits that occur: neighbours that all agree give the same one.
    """
    order = torch.argsort(logits, descending=True)
    ordered = logits[order]
    found = weights[order].cumsum(0)
    right = (weights * belongs)[order].cumsum(0)
    overlap = 2 * right / (found + (weights * belongs).sum())
    ends = torch.nonzero(ordered[:-1] > ordered[1:]).flatten()
    if not len(ends):
        return float(ordered[-1]) - 1
    best = ends[overlap[ends].argmax()]
    return float(ordered[best] + ordered[best + 1]) / 2


def _dice_of_cases(
    examples: Examples, found: torch.Tensor, belongs: torch.Tensor
) -> tuple[float, ...]:
    """Dice of each volume, by the shares that its examples stand for."""
    dice = []
    for case in distinct(examples.cases):
        weights = examples.weights * (examples.cases == case)
        right = (weights * (found & belongs)).sum()
        total = (weights * found).sum() + (weights * belongs).sum()
        dice.append(float(2 * right / total))
    return tuple(dice)
