"""Keys of the canvas, bound to what a workbench does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding

from napari_dinomed.plugin.keymap import KEYMAP, LABEL_KEYS, Action
from napari_dinomed.plugin.planes import Plane

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinomed.plugin.sheet import Sheet
    from napari_dinomed.plugin.workbench import Workbench

    Act = Callable[[], None]


class Keys:
    """Binds the keys of a workbench.

    Parameters
    ----------
    bench
        The workbench.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        viewer = bench.viewer
        self._acts: dict[Action, Act] = {
            Action.TOGGLE: lambda: bench.hand.aim(include=not bench.hand.include),
            Action.UNDO: bench.undo,
            Action.REDO: bench.redo,
            Action.SUGGEST: bench.viewport.suggest,
            Action.NEW_LABEL: bench.labels.add,
            Action.DONE: lambda: bench.labels.toggle_done(bench.hand.label),
            Action.HIDE: bench.viewport.toggle_result,
            Action.OUTLINE: bench.viewport.toggle_outline,
            Action.PROBABILITY: bench.viewport.toggle_probability,
            Action.AXIAL: partial(bench.viewport.show_plane, Plane.AXIAL),
            Action.CORONAL: partial(bench.viewport.show_plane, Plane.CORONAL),
            Action.SAGITTAL: partial(bench.viewport.show_plane, Plane.SAGITTAL),
            Action.SOLID: partial(bench.viewport.show_plane, Plane.SOLID),
            Action.FOUR: lambda: bench.asked_for_four.emit(),
            Action.WINDOW: bench.viewport.next_window,
            Action.ACCEPT: lambda: bench.judged.emit(True),
            Action.REJECT: lambda: bench.judged.emit(False),
            Action.CANCEL: self._cancel,
            Action.HELP: lambda: bench.asked_for_help.emit(),
        }
        self.bind_everywhere(viewer)

    def bind_everywhere(self, viewer: ViewerModel) -> None:
        """Have a viewer take the keys that work on any layer."""
        for action, key in KEYMAP.items():
            if key.is_everywhere:
                self._bind(viewer, action)

    def end(self) -> None:
        """Give the viewer its keys back."""
        for action, key in KEYMAP.items():
            if key.is_everywhere:
                self._bind(self._bench.viewer, action, is_bound=False)

    def bind(self, sheet: Sheet, image: Image) -> None:
        """Have a document's layers take their keys, and its image undo and redo."""
        for layer in sheet.layers:
            for action, key in KEYMAP.items():
                if not key.is_everywhere:
                    self._bind(layer, action)
            self._share_cancel(layer)
        for layer in (sheet.prompts.layer, sheet.scribbles.layer):
            for number in LABEL_KEYS:
                layer.bind_key(
                    number,
                    lambda _, n=int(number): self._aim_at_number(n),
                    overwrite=True,
                )
        for action in (Action.UNDO, Action.REDO):
            self._bind(image, action)

    def free(self, image: Image) -> None:
        """Give an image its keys back."""
        for action in (Action.UNDO, Action.REDO):
            self._bind(image, action, is_bound=False)

    def _bind(self, of: Any, action: Action, is_bound: bool = True) -> None:
        for keys in KEYMAP[action].keys:
            act = (lambda _: self._acts[action]()) if is_bound else None
            of.bind_key(keys, act, overwrite=True)

    def _share_cancel(self, layer: Any) -> None:
        """Where napari has an Esc for what is drawn, it keeps that while one draws."""
        (key,) = KEYMAP[Action.CANCEL].keys
        drop = type(layer).class_keymap.get(coerce_keybinding(key))
        if drop is not None:

            def dropped(layer: Any) -> None:
                if layer.mode == "pan_zoom":
                    self._cancel()
                else:
                    drop(layer)

            layer.bind_key(key, dropped, overwrite=True)

    def _cancel(self) -> None:
        self._bench.draft_undone.emit()
        if self._bench.session is not None:
            self._bench.session.computing.cancel()

    def _aim_at_number(self, number: int) -> None:
        labels = self._bench.require().document.labels
        if number <= len(labels):
            self._bench.hand.aim(labels[number - 1].id)
