"""What is segmented and what describes it: image, window, encoder, features."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
)

from napari_dinomed.engine.messages import (
    Describe,
    Described,
    EncoderInfo,
    FetchWeights,
    Progress,
)
from napari_dinomed.errors import DinomedError
from napari_dinomed.features.catalog import LICENCE_NOTICES
from napari_dinomed.plugin.workbench import window_limits
from napari_dinomed.settings import load_settings, save_settings
from napari_dinomed.volume import CT_PRESETS

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_dinomed.engine.messages import Encoded
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.session import Asks, Deliver
    from napari_dinomed.session.state import Choices

_FILE = "Weights from a file…"


class ImageBox(QGroupBox):
    """Image, window, encoder, and the button that computes features."""

    chosen = Signal(object)

    def __init__(self, workbench: Workbench, engine: Asks, deliver: Deliver) -> None:
        super().__init__("Image")
        self._workbench = workbench
        self._engine = engine
        self._deliver = deliver
        self._begun = 0.0
        self._encoders: dict[str, EncoderInfo] = {}
        self.images, self.windows, self.encoders = QComboBox(), QComboBox(), QComboBox()
        self.others = (QComboBox(), QComboBox())
        self.compute = QPushButton("Compute features")
        self.cancel = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.device = QLabel("")
        self._fill()
        self._lay_out()
        self._connect()

    def offer(self, images: list[Image]) -> None:
        """List the image layers; keep the one that is chosen."""
        current = self._workbench.image
        self.images.blockSignals(True)
        self.images.clear()
        for image in images:
            self.images.addItem(image.name, image)
        if current in images:
            self.images.setCurrentIndex(images.index(current))
        self.images.blockSignals(False)
        for box in self.others:
            kept = box.currentData()
            box.clear()
            box.addItem("nothing else", None)
            for image in images:
                if image is not self.images.currentData():
                    box.addItem(image.name, image)
            if kept in images:
                box.setCurrentIndex(max(0, box.findData(kept)))
        self.chosen.emit(self.images.currentData())

    def _fill(self) -> None:
        self.windows.addItem("usual for this image", "")
        self.windows.addItem("auto", "auto")
        for name in CT_PRESETS:
            self.windows.addItem(f"CT {name}", name)
        self.encoders.addItem("3-D filters (built in, no weights)", "filters")
        self.bar.hide()
        self.cancel.hide()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Layer", self.images)
        beside = QHBoxLayout()
        for box in self.others:
            box.setToolTip("Another layer of the same voxels for the encoder to look at")
            beside.addWidget(box)
        form.addRow("Seen with", beside)
        form.addRow("Window", self.windows)
        form.addRow("Encoder", self.encoders)
        buttons = QHBoxLayout()
        buttons.addWidget(self.compute)
        buttons.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.device)

    def _connect(self) -> None:
        self.images.currentIndexChanged.connect(
            lambda _: self.chosen.emit(self.images.currentData())
        )
        for box in self.others:
            box.activated.connect(self._choose_others)
        self.windows.activated.connect(self._choose_window)
        self.encoders.activated.connect(self._choose_encoder)
        self.compute.clicked.connect(lambda: self._encode())
        self.cancel.clicked.connect(lambda: self._cancel())
        self._workbench.opened.connect(self._on_opened)
        self._workbench.progressed.connect(self._on_progress)
        self._workbench.encoded.connect(self._on_encoded)
        for end in (
            self._workbench.stopped,
            self._workbench.labelled,
            self._workbench.failed,
        ):
            end.connect(self._rest)
        self._workbench.choices_changed.connect(self._on_choices)

    def _on_opened(self) -> None:
        self._rest()
        for box in self.others:
            box.setCurrentIndex(0)
        self.device.setText("Features not computed yet: click to begin")
        session = self._workbench.session
        if session is not None:
            self._on_choices(session.choices)
        call = self._engine.submit(Describe())
        call.future.add_done_callback(lambda f: self._deliver(lambda: self._list(f)))

    def _list(self, future: Any) -> None:
        if future.exception() is not None:
            return
        described: Described = future.result()
        self._encoders = {info.name: info for info in described.encoders}
        chosen = self.encoders.currentData()
        self.encoders.clear()
        for info in described.encoders:
            mark = "" if info.present else "  ⭳"
            self.encoders.addItem(f"{info.title}{mark}", info.name)
        self.encoders.addItem(_FILE, _FILE)
        self._select(self.encoders, chosen)

    def _choose_others(self) -> None:
        chosen = [box.currentData() for box in self.others if box.currentData() is not None]
        try:
            self._workbench.see_with(chosen)
        except DinomedError as error:
            for box in self.others:
                box.setCurrentIndex(0)
            self._workbench.failed.emit(str(error))

    def _choose_window(self) -> None:
        session = self._workbench.session
        if session is None or self._workbench.image is None:
            return
        name = self.windows.currentData()
        low, high = window_limits(session, name)
        limits = self._workbench.image.contrast_limits_range
        self._workbench.image.contrast_limits_range = (
            min(low, limits[0]),
            max(high, limits[1]),
        )
        self._workbench.image.contrast_limits = (low, high)
        session.choose(window=name)

    def _choose_encoder(self) -> None:
        session = self._workbench.session
        name = self.encoders.currentData()
        if session is None:
            return
        if name == _FILE:
            name = self._ask_for_file()
        if name and self._is_ready(name):
            session.choose(encoder=name)
        self._on_choices(session.choices)

    def _ask_for_file(self) -> str:
        from qtpy.QtWidgets import QFileDialog

        path, _ = QFileDialog.getOpenFileName(
            self, "Weights of a vision transformer", "", "Weights (*.safetensors *.pth)"
        )
        return f"file:{path}" if path else ""

    def _is_ready(self, name: str) -> bool:
        """Whether an encoder's weights are here; offers to fetch them where not."""
        info = self._encoders.get(name)
        if info is None or info.present:
            return True
        if info.licence_to_accept and not self._accept(info.licence_to_accept):
            return False
        self._work(f"Fetching {info.title}")
        call = self._engine.submit(
            FetchWeights(name),
            lambda event: self._deliver(lambda: self._on_progress(event)),
        )
        call.future.add_done_callback(
            lambda future: self._deliver(lambda: self._on_fetched(name, future))
        )
        return False

    def _accept(self, licence: str) -> bool:
        answer = QMessageBox.question(
            self, licence, f"{LICENCE_NOTICES[licence]}\n\nDo you accept this licence?"
        )
        if answer != QMessageBox.StandardButton.Yes:
            return False
        save_settings(load_settings().accepting(licence))
        return True

    def _on_fetched(self, name: str, future: Any) -> None:
        self._rest()
        error = future.exception()
        if error is not None:
            self._workbench.failed.emit(str(error))
            return
        self._on_opened()
        if self._workbench.session is not None:
            self._workbench.session.choose(encoder=name)

    def _encode(self) -> None:
        session = self._workbench.session
        if session is not None:
            self._work("Starting")
            session.encode()

    def _cancel(self) -> None:
        if self._workbench.session is not None:
            self._workbench.session.cancel_encoding()
        self._rest()

    def _work(self, what: str) -> None:
        self._begun = time.monotonic()
        self.bar.setRange(0, 0)
        self.bar.setFormat(what)
        self.bar.show()
        self.cancel.show()
        self.compute.setEnabled(False)

    def _rest(self, *_: Any) -> None:
        self.bar.hide()
        self.cancel.hide()
        self.compute.setEnabled(True)

    def _on_progress(self, event: Any) -> None:
        if not isinstance(event, Progress):
            return
        if self.bar.isHidden():
            self._work(event.what)
        if event.total:
            spent = time.monotonic() - self._begun
            left = spent * (event.total - event.done) / max(1, event.done)
            self.bar.setRange(0, event.total)
            self.bar.setValue(event.done)
            self.bar.setFormat(f"%v of %m {event.what}, {left:.0f} s left")
        else:
            self.bar.setFormat(event.what)

    def _on_encoded(self, encoded: Encoded) -> None:
        self._rest()
        self.device.setText(f"Features ready · {encoded.device}")

    def _on_choices(self, choices: Choices) -> None:
        session = self._workbench.session
        if session is not None and not session.is_encoded:
            self.device.setText("Features not computed yet: click to begin")
        self._select(self.windows, choices.window)
        if self.encoders.findData(choices.encoder) < 0:
            self.encoders.insertItem(0, choices.encoder.rpartition("/")[2], choices.encoder)
        self._select(self.encoders, choices.encoder)

    def _select(self, box: QComboBox, value: str) -> None:
        box.setCurrentIndex(max(0, box.findData(value)))
