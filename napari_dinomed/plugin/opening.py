"""Opening files, folders and samples from the panel, without the question who reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_dinomed.errors import ReadError
from napari_dinomed.plugin.files import get_reader
from napari_dinomed.plugin.recent import fill_recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.plugin.workbench import Workbench

_PLUGIN = "napari-dinomed"
# Reads the pictures in colour that ours leaves to it.
_OTHERS = "napari"
SAMPLES = {"ct": "CT sample", "em": "EM sample"}


def open_paths(
    workbench: Workbench, paths: list[str], then: Callable[[], None] = lambda: None
) -> None:
    """Open files or folders, and go to the first image that came; errors are said.

    Parameters
    ----------
    workbench
        Whose viewer they are opened in.
    paths
        The files or folders.
    then
        Called once that image can be worked on; never if nothing came.
    """

    def open_each() -> list[Any]:
        layers = []
        for path in paths:
            is_ours = get_reader(path) is not None
            if not is_ours and Path(path).is_dir():
                raise ReadError(
                    "Expected a DICOM series, an OME-Zarr store or a stack of pictures, "
                    f"found none in the folder {Path(path).name}."
                )
            plugin = _PLUGIN if is_ours else _OTHERS
            layers += workbench.viewer.open(path, plugin=plugin)
        return layers

    _go_to_first(workbench, open_each, then)


def open_sample(workbench: Workbench, kind: str) -> None:
    """Open a made-up volume, and go to it."""
    _go_to_first(workbench, lambda: workbench.viewer.open_sample(_PLUGIN, kind))


def _go_to_first(
    workbench: Workbench,
    open_layers: Callable[[], list[Any]],
    then: Callable[[], None] = lambda: None,
) -> None:
    def go() -> None:
        # napari lets the window run while it opens: layers that come meanwhile are
        # looked at when it is done.
        with workbench.turns.held():
            images = [layer for layer in open_layers() if isinstance(layer, Image)]
            if images:
                workbench.begin_with(images[0], then)

    try:
        workbench.attempt(go)
    except (OSError, ValueError) as error:
        # napari's own readers say in their own way what they cannot read.
        workbench.failed.emit(f"Cannot open it: {error}")


def ask_for_files(parent: QWidget, workbench: Workbench) -> None:
    """Choose files, and open them."""
    paths, _ = QFileDialog.getOpenFileNames(parent, "Open files")
    if paths:
        open_paths(workbench, paths)


def ask_for_folder(parent: QWidget, workbench: Workbench) -> None:
    """Choose a folder, and open it."""
    path = QFileDialog.getExistingDirectory(parent, "Open a folder (DICOM, OME-Zarr)")
    if path:
        open_paths(workbench, [path])


def opening_menu(parent: QWidget, workbench: Workbench) -> QMenu:
    """All ways to open something."""
    menu = QMenu(parent)
    menu.addAction("Files…").triggered.connect(lambda: ask_for_files(parent, workbench))
    menu.addAction("A folder (DICOM, OME-Zarr)…").triggered.connect(
        lambda: ask_for_folder(parent, workbench)
    )
    recent = menu.addMenu("Recent")
    fill_recent(recent, lambda path: open_paths(workbench, [str(path)]))
    recent.setEnabled(not recent.isEmpty())
    menu.addSeparator()
    for kind, title in SAMPLES.items():
        menu.addAction(title).triggered.connect(
            lambda _=False, kind=kind: open_sample(workbench, kind)
        )
    return menu
