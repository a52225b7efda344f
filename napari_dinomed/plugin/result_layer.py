"""The *Segmentation* layer: it shows a document's voxels, and a hand paints on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.plugin.layers import colors_of, label_colors, labels_over
from napari_dinomed.plugin.painting import boxes_of, joined, repaint

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.mask import Box
    from napari_dinomed.engine.messages import SliceLabels
    from napari_dinomed.volume import Volume

NAME = "Segmentation"
_OPACITY = 0.5


class ResultLayer:
    """A labels layer kept equal to a document's voxels.

    Parameters
    ----------
    image
        The layer that is segmented.
    """

    def __init__(self, image: Image) -> None:
        self.layer: Labels = labels_over(image, NAME, np.uint16)
        self.layer.opacity = _OPACITY
        self.hidden: frozenset[int] = frozenset()
        self._kept: list[tuple[int, Mask]] = []
        self.layer.brush_size = max(2, min(self.layer.data.shape[1:]) // 60)
        self._early: dict[int, Box] = {}
        self._watch()

    def _watch(self) -> None:
        """Note where the brush goes over what has its label already.

        napari tells of voxels that changed only, but a hand went over the others as well.
        Where napari paints in another way than it does today, only they count.
        """
        paint = getattr(self.layer, "_apply_mask_to_data", None)
        if paint is None:
            return

        def watched(
            data: NDArray[Any], mask: NDArray[Any], label: int, box: tuple[slice, ...]
        ) -> Any:
            if not self.layer.preserve_labels:
                starts = [part.start or 0 for part in box]
                there = np.asarray(mask) & (np.asarray(data) == label)
                self._kept.append((int(label), Mask.of(there, starts)))
            return paint(data, mask, label, box)

        self.layer._apply_mask_to_data = watched

    def take_kept(self) -> list[tuple[int, Mask]]:
        """What the brush went over without changing it, since this was asked last."""
        kept, self._kept = self._kept, []
        return kept

    def arm(self, label: int) -> None:
        """Make the brush paint a label."""
        if self.layer.selected_label != label:
            self.layer.selected_label = label

    def show(self, before: Document, after: Document) -> None:
        """Paint what differs, and what was shown early."""
        self.paint(after, _differing(before, after))
        if before.labels != after.labels:
            self._name(after)
        # What becomes of a label is seen.
        changed = {n for n in self.hidden if before.mask(n) != after.mask(n)}
        if changed or colors_of(before.labels) != colors_of(after.labels):
            self.hide(after, self.hidden - changed)

    def hide(self, document: Document, labels: frozenset[int]) -> None:
        """Show all labels of a document but these."""
        self.hidden = labels
        self._color(document)

    def show_all(self, document: Document) -> None:
        """Paint a document into an empty layer."""
        self.paint(document, boxes_of(*document.masks.values()))
        self._name(document)
        self._color(document)

    def paint(self, document: Document, boxes: dict[int, Box]) -> None:
        """Make boxes show a document, whatever was painted there."""
        boxes, self._early = joined(boxes, self._early), {}
        if repaint(self.layer.data, boxes, document.masks.items()):
            self.layer.refresh()

    def show_early(self, part: SliceLabels, document: Document, label: int) -> None:
        """Paint a label's answer in one plane, before that in the volume is known."""
        plane = np.expand_dims(np.asarray(part.labels) == label, part.axis)
        start = [0, 0, 0]
        start[part.axis] = part.index
        found = Mask.of(plane, start)
        early = document.answered(label, found)
        box = [slice(0, n) for n in self.layer.data.shape]
        box[part.axis] = slice(part.index, part.index + 1)
        here = dict.fromkeys(range(box[0].start, box[0].stop), (box[1], box[2]))
        # What was shown early before gives way to the document, not to this plane's answer.
        self.paint(document, {})
        if repaint(self.layer.data, here, early.masks.items()):
            self.layer.refresh()
        self._early = here

    def show_draft(self, before: Document, after: Document) -> None:
        """Paint what a document would become; the next paint shows what it is."""
        self.paint(before, {})
        boxes = _differing(before, after)
        if colors_of(before.labels) != colors_of(after.labels):
            self._color(after)
        if repaint(self.layer.data, boxes, after.masks.items()):
            self.layer.refresh()
        self._early = boxes

    def _name(self, document: Document) -> None:
        self.layer.features = {
            "index": [0, *(label.id for label in document.labels)],
            "name": ["background", *(label.name for label in document.labels)],
        }

    def _color(self, document: Document) -> None:
        self.layer.colormap = label_colors(document.labels, self.hidden)


def _differing(before: Document, after: Document) -> dict[int, Box]:
    """The box in each slice within which the voxels of two documents differ."""
    numbers = before.masks.keys() | after.masks.keys()
    return joined(*(dict(before.mask(n).changes(after.mask(n))) for n in numbers))


def instances_over(
    image: Image, name: str, instances: NDArray[np.int32], volume: Volume
) -> Labels:
    """A labels layer of numbered things, whose features are their volumes."""
    layer = labels_over(image, f"Instances of {name}", np.int32)
    layer.data = instances
    voxels = np.bincount(instances.ravel())
    voxels[0] = 0
    features: dict[str, Any] = {
        "index": np.arange(len(voxels)),
        "voxels": voxels,
        f"volume ({volume.geometry.unit}³)": voxels * volume.geometry.voxel_volume,
    }
    layer.features = features
    return layer
