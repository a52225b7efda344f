"""One connected object: found in the whole volume, then looked at again, ever closer.

In: marks, and the answer before the last of them. Out: how probable each voxel of a box is.
Every look is the same step (cues, network) on another grid of cells, so the answer's cost
follows the object, not the volume. What is kept is on voxels: carried from grid to grid,
what is thin would fade a little with every click.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import cues, held_by_marks
from napari_dinomed.segment.one_object.options import SearchOptions
from napari_dinomed.segment.regions import (
    bounding_box,
    connected,
    hull,
    moved,
    shared,
    start_of,
)
from napari_dinomed.segment.turns import Early

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_dinomed.segment.one_object.cues import Marks, View
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.segment.turns import Stepwise

    See = Callable[[Box, int], View]
    Allow = Callable[[Cells], torch.Tensor]
    Weigh = Callable[[Cells, torch.Tensor], torch.Tensor]

# Probability from which a cell belongs, and below which it cannot reach any threshold that
# a user would set.
_BELONGS, _NEVER = 0.5, 0.02


@dataclass(frozen=True, eq=False)
class Found:
    """Probability (z, y, x) on a grid of cells; outside its box there is no object."""

    cells: Cells
    probability: torch.Tensor

    def belongs(self, voxel: NDArray[np.int64]) -> bool:
        """Whether a voxel (3,) is of the object."""
        box = tuple(slice(int(place), int(place) + 1) for place in voxel)
        return bool(self.on(Cells.finest(box, self.cells.spacing)) > _BELONGS)

    def without_islands(self, seeds: NDArray[np.integer]) -> Found:
        """The same without cells that belong, but not to what holds seeds (n, 3)."""
        belongs = (self.probability > _BELONGS).numpy(force=True)
        islands = belongs & ~connected(belongs, self.cells.holding(seeds))
        kept = torch.from_numpy(~islands).to(self.probability)
        return Found(self.cells, self.probability * kept)

    @property
    def room(self) -> Box:
        """Voxels that may belong; around the likeliest where none may."""
        level = min(_NEVER, float(self.probability.max()))
        may = (self.probability >= level).numpy(force=True)
        return self.cells.voxels_of(bounding_box(may, margin=1))

    def closely(self) -> Found:
        """The same on voxels, of those that may belong."""
        cells = Cells.finest(self.room, self.cells.spacing)
        return Found(cells, self.on(cells))

    def on(self, cells: Cells) -> torch.Tensor:
        """The probability on another grid of cells."""
        if self.cells.is_finest:
            return cells.mean_of(self._within(cells.box))
        values = cells.resampled(self.probability, self.cells)
        for axis, (own, other) in enumerate(zip(self.cells.box, cells.box, strict=True)):
            if own.start <= other.start and other.stop <= own.stop:
                continue
            middles = cells.middles(axis)
            held = (middles > own.start - 1) & (middles < own.stop)
            shape = [1, 1, 1]
            shape[axis] = -1
            values = values * torch.from_numpy(held).to(values).reshape(shape)
        return values

    def _within(self, box: Box) -> torch.Tensor:
        """The probability of the voxels (z, y, x) of a box, 0 beyond its own."""
        values = self.probability.new_zeros([part.stop - part.start for part in box])
        both, own = shared(self.cells.box, box), start_of(self.cells.box)
        values[moved(both, start_of(box))] = self.probability[moved(both, own)]
        return values


@dataclass(frozen=True, eq=False)
class Search:
    """How an object is looked for.

    Parameters
    ----------
    see
        From a box of the volume, and how many cells at most, to what is seen there.
    weigh
        From cells and cues to a probability (z, y, x).
    whole
        Box of the voxels in which the object is.
    options
        The numbers that it goes by.
    parts
        Shares of the whole's lengths that are looked at before it, by `parts_of`.
    allow
        From cells to the share (z, y, x) of each that may belong; all of it if None. What
        may not is the outside that cues compare with.
    """

    see: See
    weigh: Weigh
    whole: Box
    options: SearchOptions = field(default_factory=SearchOptions)
    parts: tuple[float, ...] = ()
    allow: Allow | None = None

    def first(self, marks: Marks) -> Stepwise[Found]:
        """The answer to marks that nothing was answered before."""
        for box in self._first_boxes(marks):
            found = self._look(box, marks, None)
            if not self._reaches_rim(found):
                break
            yield Early(partial(_so_far, found))
        for room in self.options.first_rooms:
            yield Early(partial(_so_far, found))
            closer = self._box(found, marks, room)
            if closer == box:
                break
            box = closer
            found = self._look(box, marks, found)
        return found.closely()

    def _first_boxes(self, marks: Marks) -> Iterator[Box]:
        """Ever larger parts of the whole around marks, and the whole."""
        lengths = np.array([part.stop - part.start for part in self.whole])
        start = np.array([part.start for part in self.whole])
        low, high = marks.included.min(0), marks.included.max(0) + 1
        for share in self.parts:
            margin = share * lengths / 2
            first = np.maximum(start, np.floor(low - margin).astype(np.int64))
            last = np.minimum(start + lengths, np.ceil(high + margin).astype(np.int64))
            yield tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        yield self.whole

    def later(
        self,
        marks: Marks,
        before: Found,
        last: NDArray[np.int64],
        adds: bool,
        since: int | None = None,
    ) -> Stepwise[Found]:
        """The answer after one more mark.

        What includes takes nothing away, and what excludes adds nothing; what says of its
        place what was found there changes nothing, though later answers know of it.

        Parameters
        ----------
        marks, before
            All marks, and the answer to those before the last.
        last, adds
            Voxel (3,) of the last mark, and whether it includes.
        since
            Where something was proposed before any mark: how many clicks or strokes there
            were since, with the last. It holds but near that.
        """
        found = before
        yield None
        if adds == before.belongs(last):
            return before

        def looked(most: int) -> Found:
            return self._look_after(marks, before, found, last, since, most)

        def glanced() -> Found:
            new = looked(self.options.glance_cells)
            return _joined(before, new, adds, new.cells)

        yield Early(glanced)
        for _ in range(self.options.later_looks):
            new = looked(self.options.later_cells)
            box = hull(before.cells.box, new.room)
            found = _joined(before, new, adds, Cells.finest(box, new.cells.spacing))
            if not (adds and self._reaches_rim(new)):
                break
            yield Early(partial(_so_far, found))
        return found

    def change_by(
        self,
        marks: Marks,
        before: Found,
        last: NDArray[np.int64],
        adds: bool,
        since: int | None = None,
    ) -> float:
        """How much the last mark would change of an answer, at a glance.

        In volume; certainty that comes or goes counts as well. Arguments as `later`.
        """
        if adds == before.belongs(last):
            return 0.0
        most = self.options.glance_cells
        new = self._look_after(marks, before, before, last, since, most)
        new = _joined(before, new, adds, new.cells)
        changed = float((new.probability - before.on(new.cells)).abs().sum())
        return changed * new.cells.edge**3

    def _look_after(
        self,
        marks: Marks,
        before: Found,
        found: Found,
        last: NDArray[np.int64],
        since: int | None,
        most: int,
    ) -> Found:
        """A look around what was found so far, as far as the last mark reaches."""
        box = self._box(found, marks, self.options.later_room, last)
        new = self._look(box, marks, before, most)
        return new if since is None else _near(before, new, last, since)

    def _look(
        self, box: Box, marks: Marks, before: Found | None, most: int | None = None
    ) -> Found:
        view = self.see(box, most or self.options.most_cells)
        belief = None if before is None else before.on(view.cells)
        seen = cues(view, marks, belief)
        probability = held_by_marks(self.weigh(view.cells, seen), seen)
        if self.allow is not None:
            probability = probability * self.allow(view.cells)
        return Found(view.cells, probability)

    def _box(
        self, found: Found, marks: Marks, room: float, also: NDArray[np.int64] | None = None
    ) -> Box:
        """Box of voxels around an object, with room around it."""
        cells = found.cells
        probability = found.probability.numpy(force=True)
        level = min(_BELONGS, float(probability.max()) / 2)
        part = connected(probability > level, cells.holding(marks.included))
        (region,) = ndimage.find_objects(part.astype(np.int8))
        box = []
        for axis, side in enumerate(region):
            step, start = cells.step[axis], cells.box[axis].start
            low, high = start + side.start * step, start + side.stop * step
            if also is not None:
                low, high = min(low, also[axis]), max(high, also[axis] + 1)
            margin = max(room * (high - low), self.options.least_room, step)
            whole = self.whole[axis]
            box.append(
                slice(
                    max(whole.start, int(np.floor(low - margin))),
                    min(whole.stop, int(np.ceil(high + margin))),
                )
            )
        return tuple(box)

    def _reaches_rim(self, found: Found) -> bool:
        """Whether the object may go on beyond the box that was looked at."""
        belongs = found.probability > _BELONGS
        for axis, (part, whole) in enumerate(zip(found.cells.box, self.whole, strict=True)):
            first, last = belongs.select(axis, 0), belongs.select(axis, -1)
            if part.start > whole.start and bool(first.any()):
                return True
            if part.stop < whole.stop and bool(last.any()):
                return True
        return False


def _so_far(found: Found) -> Found:
    return found


def parts_of(
    shape: tuple[int, ...], spacing: tuple[float, float, float], options: SearchOptions
) -> tuple[float, ...]:
    """Which parts of a patient are looked at before all voxels (z, y, x), of mm."""
    extent = float(np.prod(shape) * np.prod(spacing))
    return tuple(
        share for share in options.first_shares if extent * share**3 >= options.least_part
    )


def _near(before: Found, new: Found, last: NDArray[np.int64], since: int) -> Found:
    """What the last of so many clicks makes of what was proposed before any.

    As far as the click lies from the edge of what was proposed, times the root of how many
    there were since, the new look holds; as far again it fades. A look knows less of an
    object than a proposal that was taught, but the more clicks one needs, the less it is to
    be trusted. On odd patients, head and neck, the first click on proposals gained .025
    and lost .04 at most; twice as far it lost .30. Without the root there was .76 instead
    of .77 after ten clicks; with the number itself, losses of .08.
    """
    cells, old = new.cells, before.on(new.cells)
    belongs = (old > _BELONGS).numpy(force=True)
    (place,) = cells.holding(last[None])
    other = np.argwhere(belongs != belongs[tuple(place)])
    distance = cells.distance(last[None], old.device)
    to_other = distance.numpy(force=True)[tuple(other.T)]
    depth = max(1.0, float(to_other.min())) if len(other) else 1.0
    reach = depth * since**0.5
    share = (2 - distance / reach).clamp(0, 1)
    return Found(cells, old + share * (new.probability - old))


def _joined(before: Found, new: Found, adds: bool, cells: Cells) -> Found:
    """An answer with what a new one adds to it, or without what that takes away, on cells.

    That what changes faded with the distance from the click made no difference on odd
    patients.
    """
    join = torch.maximum if adds else torch.minimum
    return Found(cells, join(new.on(cells), before.on(cells)))
