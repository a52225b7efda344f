"""Labels on the canvas: the preview that follows the prompts, and what was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.plugin.layers import label_colors, labels_over

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import SliceLabels
    from napari_dinomed.session.state import Annotation
    from napari_dinomed.volume import Volume

PREVIEW = "Preview"
RESULT = "Segmentation"


class PreviewLayer:
    """A labels layer that nobody edits: what the prompts give right now."""

    def __init__(self, image: Image) -> None:
        self.layer: Labels = labels_over(image, PREVIEW, np.uint16)
        self.layer.opacity = 0.5
        self.layer.editable = False

    @property
    def labels(self) -> NDArray[Any]:
        """Labels (z, y, x)."""
        return np.asarray(self.layer.data)

    def color(self, annotation: Annotation) -> None:
        """Show the labels in their colours."""
        self.layer.colormap = label_colors(annotation.labels)

    def show_slice(self, part: SliceLabels) -> None:
        """Put in the labels of one plane."""
        where: list[Any] = [slice(None)] * 3
        where[part.axis] = part.index
        self.layer.data[tuple(where)] = part.labels
        self.layer.refresh()

    def show_volume(self, labels: NDArray[Any]) -> None:
        """Put in the labels of the volume."""
        self.layer.data[...] = labels
        self.layer.refresh()

    def clear(self) -> None:
        """Show nothing."""
        self.layer.data[...] = 0
        self.layer.refresh()


def instances_over(
    image: Image, name: str, instances: NDArray[np.int32], volume: Volume
) -> Labels:
    """A labels layer of numbered things, whose features are their volumes."""
    layer = labels_over(image, f"Instances of {name}", np.int32)
    layer.data = instances
    voxels = np.bincount(instances.ravel())
    voxels[0] = 0
    layer.features = {
        "index": np.arange(len(voxels)),
        "voxels": voxels,
        f"volume ({volume.geometry.unit}³)": voxels * volume.geometry.voxel_volume,
    }
    return layer


def accept(preview: NDArray[Any], annotation: Annotation, into: Labels) -> int:
    """Write the preview into a labels layer as one undo step.

    Only voxels of the annotation's labels change: those that the preview has are set, and
    those that the layer had of a previewed label and the preview has not are cleared.

    Returns
    -------
    int
        Voxels that changed.
    """
    shown = [label.id for label in annotation.labels if (preview == label.id).any()]
    current = np.asarray(into.data)
    changed = np.isin(current, shown) & (preview != current)
    changed |= (preview > 0) & (preview != current)
    # napari's own writing keeps undo right where assigning the data would not.
    with into.block_history():
        for index in np.flatnonzero(changed.any((1, 2))):
            rows, columns = np.nonzero(changed[index])
            depth = np.full(len(rows), index)
            into.data_setitem(
                (depth, rows, columns),
                preview[index, rows, columns].astype(current.dtype),
                refresh=False,
            )
    into.refresh()
    into.colormap = label_colors(annotation.labels)
    into.features = {
        "index": [0, *(label.id for label in annotation.labels)],
        "name": ["background", *(label.name for label in annotation.labels)],
    }
    return int(changed.sum())
