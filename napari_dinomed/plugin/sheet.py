"""The layers of one document: the one place that turns a document into layers.

In: documents, early answers and probabilities in a plane. Out: up to five layers above a
viewer's images; those of probabilities, strokes and regions come when they are first used,
since napari draws, lists and slices each layer at every step, empty or not.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points
from psygnal import Signal

from napari_dinomed.plugin.layers import follow_placement, is_image
from napari_dinomed.plugin.probability_layer import ProbabilityLayer
from napari_dinomed.plugin.prompt_layer import PromptLayer, ring_at
from napari_dinomed.plugin.region_layer import RegionLayer
from napari_dinomed.plugin.result_layer import ResultLayer
from napari_dinomed.plugin.scribble_layer import ScribbleLayer
from napari_dinomed.session.activity import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.annotation.region import Role
    from napari_dinomed.engine.messages import PlaneProbability, SliceLabels
    from napari_dinomed.plugin.region_layer import Outline


class Sheet:
    """Layers that show a document over an image, once they have come up.

    Parameters
    ----------
    viewer
        Where they are shown.
    image
        What they lie over.
    document
        What they show.
    """

    drafted = Signal(object, object)
    """A document, and what it would become; None for that where that is taken back."""

    def __init__(self, viewer: ViewerModel, image: Image, document: Document) -> None:
        self.is_showing = self.is_drafted = self._is_up = False
        self._viewer = viewer
        self._pointer: Points | None = None
        self.result = ResultLayer(image)
        self.probability = ProbabilityLayer(image)
        self.scribbles = ScribbleLayer(image)
        self.regions = RegionLayer(image)
        self.prompts = PromptLayer(image)
        self.result.show_all(document)
        self.scribbles.show_all(document)
        self.regions.paint(document)
        self.prompts.paint(document)
        self._used: list[Layer] = [self.result.layer, self.prompts.layer]
        self._use_for(document)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From the lowest to the uppermost, in the viewer or not yet."""
        below = (self.result.layer, self.probability.layer)
        return (*below, self.scribbles.layer, self.regions.layer, self.prompts.layer)

    def follow(self, image: Image) -> None:
        """Lie over an image wherever it is by now."""
        with self._showing():
            for layer in self.layers:
                if layer is not self.probability.layer:
                    follow_placement(layer, image)
            self.probability.follow(image)

    def show(self, before: Document, after: Document) -> None:
        """Show what differs between two documents."""
        with self._showing():
            self.result.show(before, after)
            self.scribbles.show(before, after)
            self.regions.show(before, after)
            self.prompts.show(before, after)
        self.is_drafted = False
        self._use_for(after)

    @property
    def view(self) -> View | None:
        """The plane of the image that the viewer shows; None where it shows none or 3-D."""
        dims, layer = self._viewer.dims, self.result.layer
        # Other layers may have more axes; they stand before the image's.
        before = dims.ndim - 3
        hidden = [axis - before for axis in dims.not_displayed if axis >= before]
        if dims.ndisplay != 2 or len(hidden) != 1:
            return None
        (axis,) = hidden
        index = layer.world_to_data(dims.point[before:])[axis]
        return View(axis, min(max(round(index), 0), layer.data.shape[axis] - 1))

    def look_at(self, view: View | None, document: Document) -> None:
        """Show what another plane shows of a document's regions; None is 3-D."""
        with self._showing():
            self.probability.look_at(view)
            if view is not None:
                self.regions.look_at(view, document)

    def show_regions(self, document: Document, clicked: Outline | None) -> None:
        """Show the regions as they are, that under a click as selected."""
        with self._showing():
            self.regions.paint(document)
            if clicked is not None:
                self.regions.select_at(clicked)

    def show_early(self, part: SliceLabels, document: Document) -> None:
        """Show the answer in the plane in view, of the label that waits first."""
        if document.waiting:
            with self._showing():
                self.result.show_early(part, document, document.waiting[0])

    def show_probability(self, found: PlaneProbability | None) -> None:
        """Show how probable a label is in a plane; None shows nothing."""
        with self._showing():
            self.probability.show(found)
            self.probability.look_at(self.view)
        if found is not None:
            self.use(self.probability.layer)

    def put_away(self, layer: Layer) -> None:
        """Have a layer in the viewer no more before it is used again."""
        if layer in self._used:
            self._used.remove(layer)
        with self._showing():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def show_draft(self, before: Document, after: Document) -> None:
        """Show what a document would become, until anything else is shown."""
        with self._showing():
            self.result.show_draft(before, after)
        self.is_drafted = True
        self.drafted.emit(before, after)

    def show_settled(self, document: Document) -> None:
        """Take back what was shown early, or as a draft: it will not come."""
        with self._showing():
            self.result.paint(document, {})
        self.is_drafted = False
        self.drafted.emit(document, None)

    def replace(self, labels: NDArray[np.unsignedinteger[Any]]) -> None:
        """Give the segmentation an array of its own again, with these labels."""
        with self._showing():
            self.result.layer.data = labels.astype(np.uint16)

    def arm(self, document: Document, label: int, include: bool, role: Role) -> None:
        """Make clicks, strokes, regions and the brush mean this."""
        with self._showing():
            self.regions.arm(document, label, role)
            self.prompts.arm(document, label, include)
            self.scribbles.arm(label, include)
            self.result.arm(label)

    def point_at(self, voxel: Voxel | None) -> None:
        """Put a ring around a voxel, until the next is pointed at; None takes it away."""
        layers, image = self._viewer.layers, self.result.layer
        with self._showing():
            if self._pointer is not None and self._pointer in layers:
                layers.remove(self._pointer)
            self._pointer = None
            if voxel is None:
                return
            active = layers.selection.active
            self._pointer = ring_at(voxel, image)
            layers.append(self._pointer)
            layers.selection.active = active

    def keep_up(self) -> bool:
        """Have layers in use in the viewer, above every image; whether one was missing."""
        with self._showing():
            self._is_up = True
            layers = self._viewer.layers
            missing = sum(1 for _ in self._missing_put_in())
            own = [layer for layer in self.layers if layer in self._used]
            images = [layers.index(layer) for layer in layers if is_image(layer)]
            if images and max(images) > min(layers.index(layer) for layer in own):
                for layer in own:
                    layers.move(layers.index(layer), len(layers))
        return bool(missing)

    def come_up(self) -> Iterator[None]:
        """Have the layers in use in the viewer, a layer at a time."""
        for _ in self._missing_put_in():
            yield
        self.keep_up()

    def use(self, layer: Layer) -> None:
        """Have one of the layers in the viewer from now on, as soon as any of them is."""
        if layer not in self._used:
            self._used.append(layer)
        if self._is_up and layer not in self._viewer.layers:
            selection = self._viewer.layers.selection
            active = selection.active
            with self._showing():
                self._put_in(layer)
                selection.active = active

    def _use_for(self, document: Document) -> None:
        """Use the layers on which a document has something."""
        if document.prompts.strokes:
            self.use(self.scribbles.layer)
        if document.prompts.regions:
            self.use(self.regions.layer)

    def _missing_put_in(self) -> Iterator[None]:
        for layer in self.layers:
            if layer in self._used and layer not in self._viewer.layers:
                with self._showing():
                    self._put_in(layer)
                yield

    def _put_in(self, layer: Layer) -> None:
        """Put a layer below those that lie over it."""
        # napari shows a layer's tools as if none of them were in hand.
        layer.mode = "pan_zoom"
        layers, own = self._viewer.layers, self.layers
        over = [layers.index(one) for one in own[own.index(layer) + 1 :] if one in layers]
        layers.insert(min(over, default=len(layers)), layer)

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        self.point_at(None)
        layers = self._viewer.layers
        # All at once: after each removal napari sets up all that is left.
        with self._showing(), layers.batched_update():
            for layer in self.layers:
                if layer in layers:
                    layers.remove(layer)

    @contextlib.contextmanager
    def _showing(self) -> Iterator[None]:
        """What layers tell meanwhile is our own doing, not the user's."""
        outer, self.is_showing = self.is_showing, True
        try:
            yield
        finally:
            self.is_showing = outer
