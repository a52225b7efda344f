"""What a document's labels measure: voxels, and the grey values in them.

In: documents, one after another. Out: the figures of the last one, measured beside the
window's thread. Slices that two documents share are measured once.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from math import nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_dinomed.annotation.mask import EMPTY
from napari_dinomed.session.newest import Newest
from napari_dinomed.session.things import count_things

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask, Plane
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.volume import Volume

# Seconds between slices, which take one or two milliseconds each: without it a window waits
# half a second for its turn while three large labels are measured, with it .15 s.
_PAUSE = 0.0005


@dataclass(frozen=True)
class Figures:
    """Of the grey values in a label's voxels.

    Parameters
    ----------
    voxels
        How many they are.
    mean, sd
        Mean and standard deviation; NaN where there is no voxel.
    low, high
        Least and greatest; NaN where there is no voxel.
    things
        Connected parts.
    """

    voxels: int = 0
    mean: float = nan
    sd: float = nan
    low: float = nan
    high: float = nan
    things: int = 0


@dataclass(frozen=True)
class _Sums:
    """Of one slice of a label: what figures of several slices add up from."""

    count: int
    mean: float
    # Of squared distances to this slice's mean: exact also where means are large.
    spread: float
    low: float
    high: float


class Measuring:
    """Measures the labels of a volume's documents, the newest first.

    Parameters
    ----------
    volume
        The grey values.
    deliver
        Runs a function on the thread that is told.
    """

    measured = Signal(object)
    """Figures by label, of the document that was followed last."""

    def __init__(self, volume: Volume, deliver: Deliver) -> None:
        self._volume = volume
        self._deliver = deliver
        self._known: dict[int, dict[int, tuple[Plane, _Sums]]] = {}
        self._things: dict[int, tuple[Mask, int]] = {}
        self._newest = Newest("figures", self._tell)
        # One at a time has the slices that are known.
        self._measures = threading.Lock()

    def follow(self, document: Document) -> None:
        """Measure a document soon; one that waits to be measured gives way to it."""
        self._newest.follow(document)

    def end(self) -> None:
        """Measure nothing from now on."""
        self.measured.disconnect()
        self._newest.end()

    def measure(self, document: Document) -> dict[int, Figures]:
        """Figures of all labels of a document, now."""
        return self._measure(document, lambda: False)

    def _tell(self, document: Document) -> None:
        try:
            figures = self._measure(document, self._give_way)
        except Exception:  # noqa: BLE001 - voxels on a disk that does not answer now
            figures = {}
        if not self._newest.is_outdated:
            self._deliver(partial(self.measured.emit, figures))

    def _give_way(self) -> bool:
        """Let the window's thread go first, between slices; whether to stop."""
        time.sleep(_PAUSE)
        return self._newest.is_outdated

    def _measure(
        self, document: Document, is_outdated: Callable[[], bool]
    ) -> dict[int, Figures]:
        with self._measures:
            numbers = {label.id for label in document.labels}
            self._known = {n: sums for n, sums in self._known.items() if n in numbers}
            self._things = {n: found for n, found in self._things.items() if n in numbers}
            for number in numbers:
                self._update(number, document.mask(number), is_outdated)
                self._count(number, document.mask(number), is_outdated)
            return {
                n: replace(_together(self._known[n]), things=self._things[n][1])
                for n in numbers
            }

    def _count(self, number: int, mask: Mask, is_outdated: Callable[[], bool]) -> None:
        known = self._things.get(number)
        if known is None or known[0] != mask:
            count = count_things(mask, is_outdated)
            # Where that was given up, the figures are not told.
            self._things[number] = (EMPTY, 0) if count is None else (mask, count)

    def _update(self, number: int, mask: Mask, is_outdated: Callable[[], bool]) -> None:
        known = self._known.get(number, {})
        fresh: dict[int, tuple[Plane, _Sums]] = {}
        for index, plane in mask.planes.items():
            old = known.get(index)
            if old is not None and old[0] == plane:
                fresh[index] = old
                continue
            if is_outdated():
                # What is measured already serves the next document.
                fresh = known | fresh
                break
            fresh[index] = (plane, self._sums(index, plane))
        self._known[number] = fresh

    def _sums(self, index: int, plane: Plane) -> _Sums:
        rows, columns = plane.box
        grey = np.asarray(self._volume.array[index, rows, columns])
        values = grey[plane.array()].astype(np.float64)
        mean = float(values.mean())
        spread = float(((values - mean) ** 2).sum())
        return _Sums(len(values), mean, spread, float(values.min()), float(values.max()))


def _together(planes: Mapping[int, tuple[Plane, _Sums]]) -> Figures:
    sums = [one for _, one in planes.values()]
    count = sum(one.count for one in sums)
    if not count:
        return Figures()
    mean = sum(one.count * one.mean for one in sums) / count
    spread = sum(one.spread + one.count * (one.mean - mean) ** 2 for one in sums)
    low, high = min(one.low for one in sums), max(one.high for one in sums)
    return Figures(count, mean, sqrt(spread / count), low, high)
