"""Between a viewer and a session: layers that show it, and what the user does to them.

No widget is needed: everything here works on a `ViewerModel`.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from napari_dinomed.engine.messages import Encoded, Progress, Segmented
from napari_dinomed.errors import DinomedError
from napari_dinomed.io import write_labels
from napari_dinomed.plugin.keymap import KEYMAP, LABEL_KEYS, Action
from napari_dinomed.plugin.layers import labels_over, volume_of, widen_contrast_range
from napari_dinomed.plugin.prompt_layer import PromptLayer
from napari_dinomed.plugin.result import RESULT, PreviewLayer, accept, instances_over
from napari_dinomed.plugin.scribble_layer import ScribbleLayer
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.segment.instances import split_instances
from napari_dinomed.segment.prompts import Label, legend_of
from napari_dinomed.session.session import Session, View
from napari_dinomed.session.state import Annotation, Choices
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import SliceLabels
    from napari_dinomed.segment.prompts import Point, Scribble
    from napari_dinomed.session.session import Asks, Deliver


class Workbench:
    """One image layer being segmented, and the layers that belong to it.

    Parameters
    ----------
    viewer
        The viewer.
    engine
        Who computes.
    deliver
        Runs a function on the viewer's thread.
    """

    opened = Signal()
    closed = Signal()
    annotation_changed = Signal(Annotation)
    choices_changed = Signal(Choices)
    aim_changed = Signal(int, bool)
    progressed = Signal(Progress)
    encoded = Signal(Encoded)
    stopped = Signal()
    labelled = Signal(Segmented)
    said = Signal(str)
    failed = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        engine: Asks,
        deliver: Deliver = lambda work: work(),
    ) -> None:
        self.viewer = viewer
        self.session: Session | None = None
        self.image: Image | None = None
        self.label = 1
        self.include = True
        self._engine = engine
        self._deliver = deliver
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.current_step.connect(self._on_view)
        viewer.dims.events.order.connect(self._on_view)

    def open(self, image: Image) -> None:
        """Begin with an image layer: its session is taken up where it was left.

        Raises
        ------
        VolumeError
            Where the layer is not a grey volume.
        """
        volume = volume_of(image)
        self.close()
        volume.require_content()
        source = getattr(image.source, "path", None)
        session = Session(
            volume, self._engine, Path(source) if source else None, self._deliver
        )
        self.session, self.image = session, image
        widen_contrast_range(image)
        self._add_layers(image)
        self._listen(session)
        self._on_view()
        session.resume_autosave()
        if not session.annotation.labels:
            self.new_label()
        self._aim_at_something(session.annotation)
        self._show(session.annotation)
        self.viewer.layers.selection.active = self.prompts.layer
        self.opened.emit()

    def see_with(self, images: list[Image]) -> None:
        """Let the encoder look at other layers of the same grid as well.

        Raises
        ------
        VolumeError
            Where one is not a grey volume on that grid.
        """
        self._require().see_with(tuple(volume_of(image) for image in images))

    def close(self) -> None:
        """Leave the image: the working layers go, what was accepted stays."""
        session, self.session, self.image = self.session, None, None
        if session is None:
            return
        session.close()
        for layer in (self.prompts.layer, self.scribbles.layer, self.preview.layer):
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.closed.emit()

    def detach(self) -> None:
        """Leave the viewer for good."""
        self.close()
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self.viewer.dims.events.current_step.disconnect(self._on_view)
        self.viewer.dims.events.order.disconnect(self._on_view)

    def aim(self, label: int | None = None, include: bool | None = None) -> None:
        """Choose what the next click or stroke means."""
        session = self._require()
        self.label = self.label if label is None else label
        self.include = self.include if include is None else include
        self.prompts.arm(session.annotation, self.label, self.include)
        self.scribbles.arm(self.label, self.include)
        self.aim_changed.emit(self.label, self.include)

    def point(self) -> None:
        """Click to place points."""
        self.viewer.layers.selection.active = self.prompts.layer
        self.prompts.layer.mode = "add"

    def paint(self) -> None:
        """Draw scribbles with a brush."""
        self.viewer.layers.selection.active = self.scribbles.layer
        self.scribbles.layer.mode = "paint"

    def new_label(self) -> None:
        """Add a label and aim at it."""
        session = self._require()
        meaning = (
            session.annotation.find(self.label).meaning
            if any(label.id == self.label for label in session.annotation.labels)
            else defaults_for(session.volume.modality).meaning
        )
        session.change(session.annotation.with_new_label(meaning))
        self.aim(max(session.annotation.labels, key=_newest).id, include=True)

    def change_label(self, label: int, **values: Any) -> None:
        """Rename a label, or change its colour or meaning."""
        session = self._require()
        changed = replace(session.annotation.find(label), **values)
        session.change(session.annotation.with_label(changed))

    def remove_label(self, label: int) -> None:
        """Remove a label and its prompts; `undo` brings them back."""
        session = self._require()
        if len(session.annotation.labels) > 1:
            session.change(session.annotation.without_label(label))

    def accept(self) -> Labels:
        """Write the preview into the labels layer that the user keeps."""
        session, image = self._require(), self._require_image()
        target = self.result_layer()
        if target is None:
            target = labels_over(image, RESULT, np.uint16)
            below = self.viewer.layers.index(self.preview.layer)
            self.viewer.layers.insert(below, target)
            self.viewer.layers.selection.active = self.prompts.layer
        changed = accept(self.preview.labels, session.annotation, target)
        self.said.emit(f"{changed:,} voxels written to {target.name}; Ctrl+Z there undoes.")
        return target

    def result_layer(self) -> Labels | None:
        """The labels layer that the user keeps, where there is one."""
        image = self._require_image()
        for layer in self.viewer.layers:
            if (
                isinstance(layer, Labels)
                and layer.name.startswith(RESULT)
                and layer.data.shape == image.data.shape
            ):
                return layer
        return None

    def save_labels(self, path: Path) -> None:
        """Write the accepted labels, or the preview, on the grid of the image's file.

        Raises
        ------
        WriteError
            Where the file cannot be written.
        """
        session = self._require()
        legend = legend_of(session.annotation.labels)
        write_labels(path, self._kept_labels(), session.volume, legend)
        self.said.emit(f"Saved {path}")

    def split(self) -> None:
        """Number the things of the label in use, in a layer of their own.

        Raises
        ------
        DinomedError
            Where nothing has the label yet.
        """
        session = self._require()
        label = session.annotation.find(self.label)
        mask = self._kept_labels() == label.id
        if not mask.any():
            raise DinomedError(f"Nothing is {label.name} yet: click on some of it first.")
        self.said.emit(f"Telling the things of {label.name} apart …")

        def work() -> None:
            instances = split_instances(mask, session.volume.geometry.spacing)
            self._deliver(lambda: self._show_instances(session, label.name, instances))

        threading.Thread(target=work, name="instances", daemon=True).start()

    def _show_instances(
        self, session: Session, name: str, instances: NDArray[np.int32]
    ) -> None:
        if self.session is not session:
            return
        layer = instances_over(self._require_image(), name, instances, session.volume)
        above = self.viewer.layers.index(self.preview.layer) + 1
        self.viewer.layers.insert(above, layer)
        self.viewer.layers.selection.active = self.prompts.layer
        self.said.emit(f"{len(layer.features) - 1:,} things in {layer.name}")

    def _kept_labels(self) -> NDArray[Any]:
        """What was accepted, or, before anything was, the preview."""
        kept = self.result_layer()
        return np.asarray(kept.data) if kept is not None else self.preview.labels

    def toggle_preview(self) -> None:
        """Show or hide the preview."""
        self.preview.layer.visible = not self.preview.layer.visible

    def _add_layers(self, image: Image) -> None:
        session = self._require()
        self.preview = PreviewLayer(image)
        self.scribbles = ScribbleLayer(image, self._take_scribbles, self._deliver)
        self.prompts = PromptLayer(image, self._take_points, self._refuse)
        for layer in (self.preview.layer, self.scribbles.layer, self.prompts.layer):
            self.viewer.layers.append(layer)
        actions: dict[Action, Callable[[], None]] = {
            Action.TOGGLE: lambda: self.aim(include=not self.include),
            Action.UNDO: session.undo,
            Action.REDO: session.redo,
            Action.NEW_LABEL: self.new_label,
            Action.ACCEPT: lambda: self._try(self.accept),
            Action.HIDE: self.toggle_preview,
        }
        for layer in (self.prompts.layer, self.scribbles.layer):
            self._bind_keys(layer, actions)
        self.prompts.layer.mode = "add"

    def _bind_keys(self, layer: Any, actions: dict[Action, Callable[[], None]]) -> None:
        for action, work in actions.items():
            for keys in KEYMAP[action].keys:
                layer.bind_key(keys, lambda _, work=work: work(), overwrite=True)
        for key in LABEL_KEYS:
            layer.bind_key(
                key, lambda _, n=int(key): self._aim_at_number(n), overwrite=True
            )

    def _aim_at_number(self, number: int) -> None:
        labels = self._require().annotation.labels
        if number <= len(labels):
            self.aim(labels[number - 1].id)

    def _listen(self, session: Session) -> None:
        session.annotation_changed.connect(self._show)
        session.labels_cleared.connect(self._clear_preview)
        session.slice_labelled.connect(self._show_slice)
        session.volume_labelled.connect(self._show_volume)
        for theirs, ours in (
            (session.choices_changed, self.choices_changed),
            (session.progressed, self.progressed),
            (session.encoded, self.encoded),
            (session.noticed, self.said),
            (session.failed, self.failed),
        ):
            theirs.connect(lambda value, ours=ours: ours.emit(value))
        session.stopped.connect(lambda: self.stopped.emit())

    def _show(self, annotation: Annotation) -> None:
        if self.session is None or self.session.annotation is not annotation:
            return
        self._aim_at_something(annotation)
        self.prompts.show(annotation)
        self.scribbles.show(annotation)
        self.preview.color(annotation)
        self.annotation_changed.emit(annotation)

    def _aim_at_something(self, annotation: Annotation) -> None:
        """Undo may have taken away the label that was aimed at."""
        if annotation.labels:
            known = [label.id for label in annotation.labels]
            self.aim(self.label if self.label in known else known[-1])

    def _show_slice(self, part: SliceLabels) -> None:
        if self.session is not None:
            self.preview.show_slice(part)

    def _show_volume(self, segmented: Segmented) -> None:
        if self.session is not None:
            self.preview.show_volume(segmented.labels)
            self.labelled.emit(segmented)

    def _clear_preview(self) -> None:
        if self.session is not None:
            self.preview.clear()
            self.stopped.emit()

    def _take_points(self, points: tuple[Point, ...]) -> None:
        session = self._require()
        session.change(session.annotation.with_points(points))

    def _take_scribbles(self, scribbles: tuple[Scribble, ...]) -> None:
        if self.session is not None:
            self.session.change(self.session.annotation.with_scribbles(scribbles))

    def _refuse(self, reason: str) -> None:
        self.failed.emit(reason)

    def _on_view(self) -> None:
        if self.session is None or self.viewer.dims.ndisplay != 2:
            return
        axis = self.viewer.dims.order[0]
        index = self._require_image().world_to_data(self.viewer.dims.point)[axis]
        last = self.session.volume.array.shape[axis] - 1
        self.session.look_at(View(axis, min(max(round(index), 0), last)))

    def _on_layer_removed(self, event: Any) -> None:
        if self.session is None:
            return
        own = (self.image, self.prompts.layer, self.scribbles.layer, self.preview.layer)
        if event.value in own:
            self.close()

    def _try(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except DinomedError as error:
            self.failed.emit(str(error))

    def _require(self) -> Session:
        if self.session is None:
            raise DinomedError("Choose an image layer first.")
        return self.session

    def _require_image(self) -> Image:
        if self.image is None:
            raise DinomedError("Choose an image layer first.")
        return self.image


def window_limits(session: Session, name: str) -> tuple[float, float]:
    """Grey values of a window preset, for the image layer's contrast."""
    window = choose_window(session.volume, name or None)
    return (window.low, window.high)


def _newest(label: Label) -> int:
    return label.id
