"""What is seen of the image in work, and how: the place, the plane, the grey window.

In: what the user wants to see. Out: a viewer's axes, its camera, and how layers look; the
document stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import DocumentError
from napari_dinomed.plugin.mouse import show_window
from napari_dinomed.plugin.planes import Plane, show_plane
from napari_dinomed.volume import CT_PRESETS, PET_PRESETS, choose_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Layer

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.session import Session

# Pixels of an outline: one is hard to see on a scan.
_OUTLINE = 2


class Viewport:
    """What a workbench's viewer shows.

    Parameters
    ----------
    bench
        The workbench.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._window = 0

    # The place

    def fit(self) -> None:
        """Have the canvas hold all of the image; of all layers where there is none."""
        self._bench.viewer.fit_to_view(layers=self._fitted())

    def show_plane(self, plane: Plane) -> None:
        """Show a plane of the image, all of it, or all labels in 3-D."""
        show_plane(self._bench.viewer, plane, self._fitted())

    def _fitted(self) -> Sequence[Layer] | None:
        sheet = self._bench.sheet
        return None if sheet is None else (sheet.result.layer,)

    def suggest(self) -> None:
        """Go to where a click on the label in use would tell most, and mark it."""
        bench = self._bench

        def go(voxel: Voxel) -> None:
            self.go_to(voxel)
            if bench.sheet is not None:
                bench.sheet.point_at(voxel)

        bench.act(lambda session: session.suggest(bench.hand.label, go))

    def go_to(self, voxel: Voxel) -> None:
        """Show the planes through a voxel, it in their middle."""
        viewer, sheet = self._bench.viewer, self._bench.sheet
        if sheet is None:
            return
        place = np.asarray(sheet.result.layer.data_to_world(voxel))
        before = viewer.dims.ndim - 3
        for axis, at in enumerate(place):
            viewer.dims.set_point(before + axis, at)
        if viewer.dims.ndisplay == 2:
            row, column = (place[axis - before] for axis in viewer.dims.displayed)
            viewer.scene.camera.center = (0.0, row, column)

    def bring_into_view(self, layer: Layer) -> None:
        """Show a layer, whole and at its middle, where the place in view is not in it."""
        viewer = self._bench.viewer
        dims = viewer.dims
        low, high = layer.extent.world
        axes = range(dims.ndim - len(low), dims.ndim)
        seen = np.array(dims.point)
        if dims.ndisplay == 2:
            # Along the plane, what is seen is around the camera's centre.
            seen[list(dims.displayed)] = viewer.scene.camera.center[-2:]
        # Other planes go through the point, wherever the camera stands.
        is_out = [
            ((place[axes] < low) | (place[axes] > high)).any()
            for place in (seen, np.array(dims.point))
        ]
        if any(is_out):
            dims.set_point(axes, (low + high) / 2)
        if is_out[0]:
            self.fit()

    def uncover(self, image: Image) -> None:
        """Show an image that is in the viewer, above all others."""
        image.visible = True
        layers = self._bench.viewer.layers
        above = max(layers.index(each) for each in self._bench.images)
        if layers[above] != image:
            layers.move(layers.index(image), above + 1)

    # The grey window

    def display(self, window: str) -> None:
        """Show the image in a window by name, its own if empty; labels stay."""
        image, session = self._bench.image, self._bench.session
        if image is not None and session is not None and self._bench.sheet is not None:
            chosen = choose_window(session.volume, window or None)
            show_window(image, (chosen.low, chosen.high))

    def next_window(self) -> None:
        """Show the image in the next of the windows by name."""
        session = self._bench.session
        if session is not None:
            known = {"CT": CT_PRESETS, "PET": PET_PRESETS}
            names = ("", "auto", *known.get(session.volume.modality, {}))
            self._window = (self._window + 1) % len(names)
            self.display(names[self._window])

    # The labels

    def toggle_probability(self) -> None:
        """Show how probable the label in use is in the plane in view, or no more."""
        bench, sheet = self._bench, self._bench.sheet

        def toggle(session: Session) -> None:
            probing = session.computing.probing
            if probing.is_on:
                probing.end()
            elif sheet is not None and sheet.view is None:
                raise DocumentError(
                    "The probability is seen on slices. Press F5 to go back to them."
                )
            else:
                probing.look_for(bench.hand.label)

        bench.act(toggle)
        # A button that was pressed shows what came of it.
        bench.turned.emit()

    def toggle_result(self) -> None:
        """Show or hide the segmentation."""
        if self._bench.sheet is not None:
            layer = self._bench.sheet.result.layer
            layer.visible = not layer.visible

    def toggle_outline(self) -> None:
        """Show the segmentation as outlines, or filled again."""
        if self._bench.sheet is not None:
            layer = self._bench.sheet.result.layer
            layer.contour = 0 if layer.contour else _OUTLINE

    def label_at(self, place: Any, **about: Any) -> str:
        """Name of the label at a place in the world; empty where there is none."""
        session, sheet = self._bench.session, self._bench.sheet
        if session is None or sheet is None:
            return ""
        value = sheet.result.layer.get_value(place, **about)
        number = 0 if value is None else int(value)
        document = session.document
        return document.find(number).name if document.has(number) else ""
