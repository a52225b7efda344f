"""Clicks answered in turn: each answer builds on the one before the last click."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from napari_dinomed.segment.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_dinomed.annotation.prompts import Mark
    from napari_dinomed.annotation.region import Region
    from napari_dinomed.segment.all_alike.method import AlikeFinder
    from napari_dinomed.segment.one_object.method import ObjectFinder

    Key = tuple[bytes, tuple[Mark, ...], bytes, tuple[Region, ...]]

Finder = TypeVar("Finder", "ObjectFinder", "AlikeFinder")
Answer = TypeVar("Answer")
# Found step by step: it may be given up after each.
Stepwise: TypeAlias = "Generator[Early | Lessons | None, None, Answer]"


@dataclass(frozen=True)
class Lessons:
    """How far what learns from many marks has come."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Early:
    """An answer as it is so far, which a closer look will better; made if it is shown."""

    answer: Callable[[], Any]


class Turns(Generic[Answer]):
    """Answers so far, by the marks that they answer; those not used make room.

    Parameters
    ----------
    most
        How many to keep.
    """

    def __init__(self, most: int) -> None:
        self._kept: Kept[Answer] = Kept(most)

    def answer(
        self, finder: Finder, find: Callable[[Finder, Answer | None], Stepwise[Answer]]
    ) -> Stepwise[Answer]:
        """The answer to all clicks.

        Parameters
        ----------
        finder
            Has the marks.
        find
            From a finder, and the answer before its last click if there was one, to its
            answer.
        """
        waiting = [finder]
        while _key(waiting[-1]) not in self._kept and _was_answered(waiting[-1]):
            waiting.append(replace(waiting[-1], clicks=waiting[-1].clicks[:-1]))
        first = waiting.pop()
        kept = self._kept.get(_key(first))
        answer = kept
        if answer is None:
            answer = self._kept.keep(_key(first), (yield from find(first, None)))
        for step in reversed(waiting):
            answer = self._kept.keep(_key(step), (yield from find(step, answer)))
        return answer


def _key(finder: ObjectFinder | AlikeFinder) -> Key:
    start = finder.start.to_bytes() if finder.start else b""
    return (finder.painted.key, finder.clicks, start, finder.limits)


def _was_answered(finder: ObjectFinder | AlikeFinder) -> bool:
    """Whether anything was included or proposed before the last click."""
    if finder.start:
        return len(finder.clicks) > (0 if len(finder.painted) else 1)
    was_painted = bool(finder.painted.belongs.any())
    was_clicked = any(belongs for _, belongs in finder.clicks[:-1])
    return bool(finder.clicks) and (was_painted or was_clicked)
