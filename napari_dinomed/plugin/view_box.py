"""Which plane is shown: one button each, and 3-D."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QButtonGroup, QGroupBox, QHBoxLayout

from napari_dinomed.plugin.controls import toggle
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.planes import Plane, plane_in

if TYPE_CHECKING:
    from napari_dinomed.plugin.workbench import Workbench

_ACTIONS = {
    Plane.AXIAL: Action.AXIAL,
    Plane.CORONAL: Action.CORONAL,
    Plane.SAGITTAL: Action.SAGITTAL,
    Plane.SOLID: Action.SOLID,
}
# Of what has no patient's axes.
_PLAIN = {Plane.AXIAL: "XY", Plane.CORONAL: "XZ", Plane.SAGITTAL: "YZ", Plane.SOLID: "3-D"}


class ViewBox(QGroupBox):
    """Buttons for the planes; the one in view is down."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("View")
        self._workbench = workbench
        self.planes = {
            plane: toggle(
                _begun_large(plane),
                f"{_begun_large(KEYMAP[action].does)} ({KEYMAP[action].shown})",
                partial(workbench.viewport.show_plane, plane),
            )
            for plane, action in _ACTIONS.items()
        }
        layout, self._group = QHBoxLayout(self), QButtonGroup(self)
        for each in self.planes.values():
            layout.addWidget(each)
            self._group.addButton(each)
        key = KEYMAP[Action.FOUR]
        self.four = toggle(
            "Four",
            f"{_begun_large(key.does)} ({key.shown})",
            lambda: workbench.asked_for_four.emit(),
        )
        layout.addWidget(self.four)
        workbench.bound.connect(self._on_bound)
        workbench.turned.connect(self._follow)
        self.setEnabled(False)

    def _on_bound(self) -> None:
        session = self._workbench.session
        self.setEnabled(session is not None)
        if session is not None:
            for plane, each in self.planes.items():
                is_patient = session.volume.geometry.patient
                each.setText(_begun_large(plane) if is_patient else _PLAIN[plane])
            self._follow()

    def _follow(self) -> None:
        shown = plane_in(self._workbench.viewer)
        # None is down where napari shows a plane on its side.
        self._group.setExclusive(shown is not None)
        for plane, each in self.planes.items():
            each.setChecked(plane is shown)


def _begun_large(text: str) -> str:
    return text[0].upper() + text[1:]
