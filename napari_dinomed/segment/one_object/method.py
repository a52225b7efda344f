"""The method for one connected object: from marks to a box of probabilities.

In: a volume, its tokens, and marks in the order in which they were made. Out: how probable
each voxel of a box is. Its readouts differ in the cues that the network is given: all of
them (automatic), or all but those of the other way to read tokens (k-NN or linear probe).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinomed.annotation.mask import EMPTY, Mask
from napari_dinomed.annotation.prompts import NOT_PAINTED
from napari_dinomed.annotation.readout import Readout
from napari_dinomed.features.device import CPU
from napari_dinomed.segment.kept import Kept
from napari_dinomed.segment.limits import allowed, middle_of, room_for
from napari_dinomed.segment.marks import all_marks
from napari_dinomed.segment.one_object import cues as cue_names
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import Marks, View
from napari_dinomed.segment.one_object.looks import Basis, Looks
from napari_dinomed.segment.one_object.network import taught_weigher
from napari_dinomed.segment.one_object.options import SearchOptions
from napari_dinomed.segment.one_object.search import Found, Search, parts_of
from napari_dinomed.segment.regions import deepest, grown, start_of
from napari_dinomed.segment.suggest import Doubt, Place
from napari_dinomed.segment.turns import Turns
from napari_dinomed.volume.channels import WHITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Mark, Painted
    from napari_dinomed.annotation.region import Region
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.segment.regions import Box
    from napari_dinomed.segment.turns import Stepwise
    from napari_dinomed.volume import Volume, Window

    Floats = NDArray[np.float32]

# Boxes seen lately, and answers to lately made marks: the steps that a user takes back.
_KEPT_VIEWS = 8
_KEPT_ANSWERS = 32
# Painted voxels of either side that are read; more of a stroke say the same.
_MOST_PAINTED = 48
# Marks that stand for one stroke: the network was taught with clicks, and takes many that
# lie close together for all there is. Of 1, 2, 3, 4, 5, 9 and 48, three were best on odd
# patients. What corrects a proposal says where it is wrong, and is read as it was painted.
MOST_OF_A_STROKE = 3

# Cues that each readout does without.
WITHOUT: Mapping[str, tuple[str, ...]] = {
    Readout.AUTO: (),
    Readout.KNN: cue_names.PROBE,
    Readout.PROBE: cue_names.LIKENESS,
}


class ObjectField:
    """What answers for single objects are computed on; made once for an encoded volume.

    Parameters
    ----------
    volume, window
        Voxels in memory, and how their grey values compare.
    banks
        Tokens of every slice, along one axis or several.
    channels
        How many channels of a token, from the first, tell what is there, not where.
    device
        Where answers are computed.

    Attributes
    ----------
    looks
        What the tokens of each plane look like.
    whole, spacing
        The box of all voxels, and their size along (z, y, x).
    parts
        Shares of its lengths that are looked at before all of it.
    turns
        Answers so far, of each readout.
    """

    options = SearchOptions()

    def __init__(
        self,
        volume: Volume,
        window: Window,
        banks: tuple[TokenBank, ...],
        channels: int,
        device: torch.device = CPU,
    ) -> None:
        self._volume = volume
        self._window = window
        self.device = device
        self.looks = tuple(
            Looks.of(bank, Basis.of(bank, channels), device=device) for bank in banks
        )
        self._views: Kept[View] = Kept(_KEPT_VIEWS)
        self.whole: Box = tuple(slice(0, length) for length in volume.array.shape)
        self.spacing = volume.geometry.spacing
        geometry = volume.geometry
        self.parts: tuple[float, ...] = ()
        if geometry.unit == "mm":
            self.parts = parts_of(geometry.shape, self.spacing, self.options)
        self._extent = Cells(self.whole, (1, 1, 1), self.spacing).edge
        self.turns = {readout: Turns[Found](_KEPT_ANSWERS) for readout in WITHOUT}

    def make_ready(self) -> Iterator[None]:
        """Make what the first click needs: the network, and a view of the whole volume."""
        yield None
        taught_weigher(self.device)
        yield None
        _ = self.see(self.whole, self.options.most_cells).parts

    def see(self, box: Box, most: int) -> View:
        """What is seen of a box on so many cells at most."""
        key = (tuple((part.start, part.stop) for part in box), most)
        known = self._views.get(key)
        if known is not None:
            return known
        cells = Cells.over(box, self.spacing, most)
        grey = [
            cells.mean_of(torch.from_numpy(image).to(self.device))
            for image in self._grey_of(box)
        ]
        extent = self._extent / cells.edge
        return self._views.keep(key, View(cells, torch.stack(grey), self.looks, extent))

    def _grey_of(self, box: Box) -> Iterator[Floats]:
        """Grey values from 0 to 1 of a box, of each image."""
        yield self._window.apply(self._volume.array[box])
        for other in self._volume.others:
            yield np.divide(other[box], WHITE, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class ObjectFinder:
    """Finds the object that a label's marks mean.

    Parameters
    ----------
    field
        What is seen of the volume.
    clicks
        Clicked voxels in order, and whether they belong.
    painted
        Voxels under strokes, and whether they belong.
    readout
        A key of `WITHOUT`.
    start
        What the object was proposed to be, which marks correct; empty if it was not.
    limits
        What says where the object is not. Where nothing is marked or proposed, it is looked
        for around the middle of what it is inside of.
    """

    field: ObjectField
    clicks: tuple[Mark, ...]
    painted: Painted = NOT_PAINTED
    readout: str = Readout.AUTO
    start: Mask = EMPTY
    limits: tuple[Region, ...] = ()

    def answer(self) -> Stepwise[Found]:
        """The answer to all marks, built on the one before the last click."""
        turns = self.field.turns[self.readout]
        return (yield from turns.answer(self, ObjectFinder._find))

    def doubt(self) -> Stepwise[Doubt]:
        """How sure the answer is."""
        found = yield from self.answer()
        cells = found.cells

        def middles(places: NDArray[np.int64]) -> NDArray[np.int64]:
            voxels = [cells.middles(axis)[places[:, axis]] for axis in range(3)]
            return np.rint(np.stack(voxels, axis=1)).astype(np.int64)

        reading = found.probability.numpy(force=True)
        return Doubt(reading[None], cells.edges, cells.holding, middles)

    def worth(self, places: Sequence[Place]) -> Stepwise[list[float]]:
        """How much a click would change: by its answer, times how probable that is.

        What agrees with the answer changes nothing. Expected model output change (Freytag
        et al. 2014).
        """
        found = yield from self.answer()
        search, marks, expected = self._search, self._marks, []
        since = len(self.clicks) + 1 if self.start else None
        for place in places:
            adds, last = not place.belongs, np.array(place.voxel)
            more = marks.plus(last, adds)
            changed = search.change_by(more, found, last, adds, since)
            expected.append(place.wrong * changed)
            yield None
        return expected

    def plane(self, found: Found, axis: int, index: int) -> Floats:
        """Probability (rows, columns) of the plane across an axis at an index."""
        plane = list(self.field.whole)
        plane[axis] = slice(index, index + 1)
        cells = Cells.finest(tuple(plane), found.cells.spacing)
        connected = found.without_islands(self.seeds)
        return connected.on(cells).squeeze(axis).numpy(force=True)

    def placed(self, found: Found) -> tuple[Box, Floats]:
        """A box that holds the object, and the probability of its voxels."""
        close = found.closely()
        return close.cells.box, close.probability.numpy(force=True)

    @property
    def _search(self) -> Search:
        allow = self._allow if self.limits else None
        whole = room_for(self.limits, self.field.whole)
        field = self.field
        return Search(field.see, self._weigh, whole, field.options, field.parts, allow)

    def _find(self, before: Found | None) -> Stepwise[Found]:
        search = self._search
        if before is None and not self.start:
            return (yield from search.first(self._marks))
        if before is None:
            before = self._proposed()
            if len(self.painted):
                return (yield from self._painted_over(search, before))
            if not self.clicks:
                return before  # Regions alone were said of it.
        voxel, adds = self.clicks[-1]
        last, since = np.array(voxel), len(self.clicks) if self.start else None
        return (yield from search.later(self._marks, before, last, adds, since))

    def _painted_over(self, search: Search, before: Found) -> Stepwise[Found]:
        """What was proposed, corrected by strokes: what they add, then what they remove."""
        heart = self._heart(np.zeros((0, 3), dtype=np.int64))
        nothing = np.zeros((0, 3), dtype=np.int64)
        for adds in (True, False):
            side = self._painted_side(adds)
            if len(side):
                joined = np.concatenate([heart, side])
                marks = Marks(joined, nothing) if adds else Marks(heart, side)
                wrong = [voxel for voxel in side if before.belongs(voxel) != adds]
                last = wrong[len(wrong) // 2] if wrong else side[0]
                before = yield from search.later(marks, before, last, adds, since=1)
        return before

    def _painted_side(self, adds: bool) -> NDArray[np.int64]:
        """Voxels (n, 3) of strokes: included ones, or excluded ones of the proposal."""
        marks = self.painted.thinned(_MOST_PAINTED)
        voxels = [voxel for voxel, belongs in marks if belongs == adds]
        if not adds:
            voxels = [voxel for voxel in voxels if voxel in self.start]
        return np.array(voxels, dtype=np.int64).reshape(-1, 3)

    def _proposed(self) -> Found:
        """What was proposed, as an answer before any mark."""
        room = 1 + max(part.stop - part.start for part in self.start.box) // 4
        box = grown(self.start.box, room, self.field.whole)
        z, y, x = box
        inside = torch.from_numpy(self.start.array((z, y, x)).astype(np.float32))
        cells = Cells.finest(box, self.field.spacing)
        return Found(cells, inside.to(self.field.device))

    @property
    def seeds(self) -> NDArray[np.integer]:
        """Voxels (n, 3) that the object is connected to."""
        if not self.start:
            return self._marks.included if self._is_only_limited else self._included
        marks = all_marks(self.painted, self.clicks)
        included = self._included
        excluded = marks.voxels[~marks.belongs].astype(np.int64)
        return np.concatenate([self._heart(excluded), included])

    @property
    def _included(self) -> NDArray[np.integer]:
        marks = all_marks(self.painted, self.clicks)
        return np.asarray(marks.voxels[marks.belongs])

    @property
    def _is_only_limited(self) -> bool:
        """Whether all that is known of the object's place is what it is inside of."""
        return bool(self.limits) and not (self.start or len(self._included))

    def _allow(self, cells: Cells) -> torch.Tensor:
        may = torch.from_numpy(allowed(self.limits, cells.box))
        return cells.mean_of(may.to(self.field.device))

    @property
    def _all(self) -> tuple[Mark, ...]:
        """Painted marks, then the clicks in order."""
        strokes = self.painted.each_thinned(MOST_OF_A_STROKE)
        return (*strokes.thinned(_MOST_PAINTED), *self.clicks)

    @cached_property
    def _marks(self) -> Marks:
        sides = (
            np.array([voxel for voxel, belongs in self._all if belongs == side])
            for side in (True, False)
        )
        included, excluded = (side.reshape(-1, 3).astype(np.int64) for side in sides)
        if self.start:
            included = np.concatenate([self._heart(excluded), included])
        elif not len(included):
            included = middle_of(self.limits, self.field.spacing)[None]
        return Marks(included, excluded)

    def _heart(self, excluded: NDArray[np.int64]) -> NDArray[np.int64]:
        """The voxel (1, 3) deepest in what was proposed, less what is excluded of it."""
        box = self.start.box
        inside = (self.start - Mask.of_voxels(excluded)).array(box)
        whole = [part.stop for part in self.field.whole]
        return (deepest(inside, self.field.spacing, whole) + start_of(box))[None]

    def _weigh(self, cells: Cells, cues: torch.Tensor) -> torch.Tensor:
        del cells
        for name in WITHOUT[self.readout]:
            cues[cue_names.NAMES.index(name)] = 0
        return taught_weigher(self.field.device)(cues)
