"""What is seen: grey values on the screen, those of the encoder, and further images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QHBoxLayout

from napari_dinomed.plugin.controls import narrow, told
from napari_dinomed.volume import PRESET_TITLES
from napari_dinomed.volume.channels import MOST_OTHERS

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.volume import Planes

_PLANES: dict[str, Planes] = {
    "by the spacing": "auto",
    "along one axis": "one",
    "along all three": "three",
}


class SightBox(QGroupBox):
    """Windows for the eye and for the encoder, and images seen together."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Grey values")
        self._workbench = workbench
        self.display = told(
            narrow(QComboBox()),
            "Display",
            "Grey values that you see; labels do not depend on it",
        )
        self.windows = told(
            narrow(QComboBox()),
            "Encoder sees",
            "Grey values that the encoder sees; another needs new features",
        )
        self.others = tuple(
            told(
                narrow(QComboBox(), letters=4),
                f"Seen with, {number}",
                "Another layer of the same voxels for the encoder to look at",
            )
            for number in range(1, MOST_OTHERS + 1)
        )
        self.planes = told(
            narrow(QComboBox()),
            "Slices",
            "Along how many axes the encoder sees slices; another needs new features",
        )
        self._fill()
        self._lay_out()
        self._connect()
        self.setEnabled(False)

    def _fill(self) -> None:
        for box, usual in ((self.display, "as it is shown"), (self.windows, "usual")):
            box.addItem(usual, "")
            box.addItem("auto", "auto")
            for name, title in PRESET_TITLES.items():
                box.addItem(title, name)

        for text, planes in _PLANES.items():
            self.planes.addItem(text, planes)

    def _lay_out(self) -> None:
        form, beside = QFormLayout(self), QHBoxLayout()
        for box in self.others:
            beside.addWidget(box)
        form.addRow("Display", self.display)
        form.addRow("Encoder sees", self.windows)
        form.addRow("Slices", self.planes)
        form.addRow("Seen with", beside)

    def _connect(self) -> None:
        workbench = self._workbench
        for box in self.others:
            box.activated.connect(lambda _: self._choose_others())
        self.display.activated.connect(
            lambda _: workbench.viewport.display(self.display.currentData())
        )
        self.windows.activated.connect(
            lambda _: workbench.choose(
                "encoder's window", window=self.windows.currentData()
            )
        )
        self.planes.activated.connect(
            lambda _: workbench.choose("slices", planes=self.planes.currentData())
        )
        workbench.images_changed.connect(self._list_images)
        workbench.bound.connect(self._on_bound)
        workbench.document_changed.connect(self._on_document)

    def _on_bound(self) -> None:
        self.setEnabled(self._workbench.session is not None)
        self.display.setCurrentIndex(0)
        self._list_images()

    def _list_images(self) -> None:
        current, images = self._workbench.image, self._workbench.images
        for box in self.others:
            box.clear()
            box.addItem("nothing else", None)
            for image in images:
                if image != current:
                    box.addItem(image.name, image)
            box.setEnabled(len(images) > 1)
        session = self._workbench.session
        if session is not None:
            self._on_document(session.document)

    def _choose_others(self) -> None:
        chosen = [box.currentData() for box in self.others if box.currentData() is not None]
        self._workbench.attempt(lambda: self._workbench.see_with(chosen))

    def _on_document(self, document: Document) -> None:
        choices, session = document.choices, self._workbench.session
        self.windows.setCurrentIndex(max(0, self.windows.findData(choices.window)))
        self.planes.setCurrentIndex(self.planes.findData(choices.planes))
        for place, box in enumerate(self.others):
            seen = choices.others[place] if place < len(choices.others) else None
            number = 0
            if seen is not None and session is not None:
                number = self._number_of(box, seen)
            box.setCurrentIndex(number)

    def _number_of(self, box: QComboBox, fingerprint: str) -> int:
        """Where an image of this fingerprint stands in a box; 0 where it is not open."""
        for number in range(1, box.count()):
            if self._workbench.prints.of(box.itemData(number)) == fingerprint:
                return number
        return 0
