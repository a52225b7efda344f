"""Legends in the panel: labels usual for a kind of volume, and lists in files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QMenu

from napari_dinomed.annotation.labels import legend_of
from napari_dinomed.annotation.legends import PRESETS, labels_from, preset, with_legend
from napari_dinomed.io.legend_file import LEGEND_SUFFIXES, read_legend, write_legend
from napari_dinomed.plugin.controls import button, may_replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.session import Session

_SLICER = "Slicer's table of colours, with codes (*.csv)"
_SNAP = "ITK-SNAP's label descriptions (*.txt)"


class LegendButton:
    """A button with a menu of legends.

    Parameters
    ----------
    workbench
        Whose labels they become.
    """

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self.button = button(
            "Legend…",
            "Labels usual for abdomen, head and neck, brain tumour, EM; or from a file",
            self._ask,
        )

    def menu(self) -> QMenu:
        """All legends to choose from, and files."""
        menu = QMenu(self.button)
        for name in PRESETS:
            take = partial(self.take, preset(name), name)
            menu.addAction(name).triggered.connect(lambda _=False, take=take: take())
        menu.addSeparator()
        menu.addAction("Import…").triggered.connect(lambda: self._import())
        menu.addAction("Export…").triggered.connect(lambda: self._export())
        return menu

    def take(self, legend: Sequence[Label], name: str) -> None:
        """Have labels of these names, in one step, and aim at the first."""

        def take(session: Session) -> None:
            document = with_legend(session.document, legend)
            # A list's file may be named after a patient.
            session.change(document, f"legend {name}", "legend")
            first = next(
                one for one in session.document.labels if one.name == legend[0].name
            )
            self._workbench.hand.aim(first.id)

        self._workbench.act(take)

    def _ask(self) -> None:
        self.menu().exec(self.button.mapToGlobal(self.button.rect().bottomLeft()))

    def _import(self) -> None:
        folder = str(self._workbench.exchange.suggested_path("").parent)
        path, _ = QFileDialog.getOpenFileName(
            self.button, "Import a legend", folder, "Legends (*.csv *.txt)"
        )
        if path:
            self._workbench.attempt(lambda: self.read(Path(path)))

    def read(self, path: Path) -> None:
        """Take the labels of a file; errors as `read_legend`."""
        labels = self._workbench.require().document
        meaning = labels.find(self._workbench.hand.label).meaning
        self.take(labels_from(read_legend(path), meaning), path.stem)

    def _export(self) -> None:
        suggested = self._workbench.exchange.suggested_path("").with_suffix(".csv")
        path, chosen = QFileDialog.getSaveFileName(
            self.button, "Export the legend", str(suggested), f"{_SLICER};;{_SNAP}"
        )
        if path:
            target = Path(path)
            if target.suffix.lower() not in LEGEND_SUFFIXES:
                target = target.with_name(f"{target.name}{_suffix_in(chosen)}")
            if may_replace(self.button, Path(path), target):
                self._workbench.attempt(lambda: self.write(target))

    def write(self, path: Path) -> None:
        """Write the labels to a file; errors as `write_legend`."""
        write_legend(path, legend_of(self._workbench.require().document.legend))
        self._workbench.said.emit(f"Saved {path}")


def _suffix_in(chosen: str) -> str:
    return ".txt" if chosen == _SNAP else ".csv"
