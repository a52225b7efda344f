"""Surfaces of a document's labels, which follow it.

In: documents, one after another. Out: a mesh for each label that became another, made
beside the window's thread; labels that did not change are not made again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_dinomed.annotation.mask import EMPTY
from napari_dinomed.finish.surface import shown_surface
from napari_dinomed.session.newest import Newest

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.volume import Geometry


class Surfacing:
    """Makes surfaces of the labels of a volume's documents, of the newest one only.

    Parameters
    ----------
    geometry
        The volume's grid.
    deliver
        Runs a function on the thread that is told.
    """

    surfaced = Signal(int, object)
    """A label, and its `Mesh` in voxel indices; None where it has no voxels any more."""

    def __init__(self, geometry: Geometry, deliver: Deliver) -> None:
        self._geometry = geometry
        self._deliver = deliver
        self._made: dict[int, Mask] = {}
        self._newest = Newest("surfaces", self._make_all)

    def follow(self, document: Document) -> None:
        """Make a document's surfaces soon; one that waits gives way to it."""
        self._newest.follow(document)

    def end(self) -> None:
        """Make nothing from now on."""
        self.surfaced.disconnect()
        self._newest.end()

    def _make_all(self, document: Document) -> None:
        for number in self._made.keys() | {label.id for label in document.labels}:
            if self._newest.is_outdated:
                break
            self._make(number, document.mask(number))

    def _make(self, number: int, mask: Mask) -> None:
        if self._made.get(number, EMPTY) == mask:
            return
        mesh = shown_surface(mask, self._geometry) if mask else None
        self._made[number] = mask
        if not self._newest.is_over:
            self._deliver(partial(self.surfaced.emit, number, mesh))
