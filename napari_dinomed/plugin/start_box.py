"""What to do first, where nothing is open yet: three steps, and samples one click away."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QGroupBox, QLabel, QMenu

from napari_dinomed.plugin.controls import button
from napari_dinomed.plugin.opening import (
    SAMPLES,
    ask_for_files,
    ask_for_folder,
    open_paths,
    open_sample,
)
from napari_dinomed.plugin.recent import fill_recent, recent

if TYPE_CHECKING:
    from napari_dinomed.plugin.workbench import Workbench

_STEPS = (
    "<b>1.</b> Open a CT, MR, PET or EM volume, or drag it in.",
    "<b>2.</b> Click inside what you want. Where some is missing, click there; where it is "
    "too much, click with the right button.",
    "<b>3.</b> Save labels. Nothing is lost if you just close napari.",
)


class StartBox(QGroupBox):
    """Three steps; seen only while no image is there to be segmented, nor about to be."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Three steps")
        self._workbench = workbench
        layout = QGridLayout(self)
        for row, step in enumerate(_STEPS):
            line = QLabel(step)
            line.setWordWrap(True)
            layout.addWidget(line, row, 0, 1, 2)
        self.files = button(
            "Open files…", "Open volumes from files", lambda: ask_for_files(self, workbench)
        )
        self.folder = button(
            "Open a folder…",
            "Open a folder of slices: DICOM, pictures, OME-Zarr",
            lambda: ask_for_folder(self, workbench),
        )
        self.samples = {
            kind: button(
                title,
                "Open a made-up volume to try it on",
                partial(open_sample, workbench, kind),
            )
            for kind, title in SAMPLES.items()
        }
        buttons = (self.files, self.folder, *self.samples.values())
        for number, each in enumerate(buttons):
            layout.addWidget(each, len(_STEPS) + number // 2, number % 2)
        self.recent = button(
            "Recent…", "Go on with a volume where you left it", self._ask_recent
        )
        self.recent.setEnabled(bool(recent()))
        layout.addWidget(self.recent, len(_STEPS) + len(buttons) // 2, 0, 1, 2)
        workbench.bound.connect(self._on_bound)

    def _on_bound(self) -> None:
        self.setVisible(self._workbench.chosen is None)
        self.recent.setEnabled(bool(recent()))

    def _ask_recent(self) -> None:
        menu = QMenu(self)
        fill_recent(menu, lambda path: open_paths(self._workbench, [str(path)]))
        menu.exec(self.recent.mapToGlobal(self.recent.rect().bottomLeft()))
