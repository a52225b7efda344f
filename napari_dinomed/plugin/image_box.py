"""What is segmented and what describes it: image, windows, encoder, features."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinomed.engine.messages import (
    Describe,
    Described,
    EncoderInfo,
    FetchWeights,
    Progress,
)
from napari_dinomed.errors import DinomedError
from napari_dinomed.features.catalog import ADAPTER_SUFFIX, LICENCE_NOTICES
from napari_dinomed.session.activity import Activity, Phase
from napari_dinomed.settings import load_settings, save_settings
from napari_dinomed.volume import CT_PRESETS, choose_window

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.computing import Asks, Deliver

_FILE = "Weights from a file…"
_NO_IMAGE = "Open an image to begin"


class ImageBox(QGroupBox):
    """Image, windows, encoder, and the button that computes features."""

    def __init__(self, workbench: Workbench, engine: Asks, deliver: Deliver) -> None:
        super().__init__("Image")
        self._workbench = workbench
        self._engine = engine
        self._deliver = deliver
        self._begun = 0.0
        self._complained: weakref.WeakSet[Image] = weakref.WeakSet()
        self._encoders: dict[str, EncoderInfo] = {}
        self.images, self.encoders = QComboBox(), QComboBox()
        self.display, self.windows = QComboBox(), QComboBox()
        self.others = (QComboBox(), QComboBox())
        self.compute = QPushButton("Compute features")
        self.cancel = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.state = QLabel(_NO_IMAGE)
        self.state.setWordWrap(True)
        self._fill()
        self._lay_out()
        self._connect()
        self._offer()
        self._ask_for_encoders()

    # Layout

    def _fill(self) -> None:
        for box, usual in ((self.display, "as it is shown"), (self.windows, "usual")):
            box.addItem(usual, "")
            box.addItem("auto", "auto")
            for name in CT_PRESETS:
                box.addItem(f"CT {name}", name)
        self.display.setToolTip("Grey values that you see; labels do not depend on it")
        self.windows.setToolTip(
            "Grey values that the encoder sees; another needs new features"
        )
        self.encoders.addItem("3-D filters (built in, no weights)", "filters")
        for widget in (self.bar, self.cancel):
            _keep_room(widget)
            widget.hide()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Clicks are on", self.images)
        beside = QHBoxLayout()
        for box in self.others:
            box.setToolTip("Another layer of the same voxels for the encoder to look at")
            beside.addWidget(box)
        form.addRow("Seen with", beside)
        form.addRow("Display", self.display)
        form.addRow("Encoder sees", self.windows)
        form.addRow("Encoder", self.encoders)
        buttons = QHBoxLayout()
        buttons.addWidget(self.compute)
        buttons.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)

    def _connect(self) -> None:
        workbench = self._workbench
        self.images.activated.connect(lambda _: self._choose_image())
        for box in self.others:
            box.activated.connect(lambda _: self._choose_others())
        self.display.activated.connect(lambda _: self._choose_display())
        self.windows.activated.connect(
            lambda _: workbench.choose(
                "encoder's window", window=self.windows.currentData()
            )
        )
        self.encoders.activated.connect(lambda _: self._choose_encoder())
        self.compute.clicked.connect(lambda: self._compute())
        self.cancel.clicked.connect(lambda: self._cancel())
        workbench.images_changed.connect(self._offer)
        workbench.bound.connect(self._on_bound)
        workbench.acted.connect(self._on_activity)
        workbench.document_changed.connect(self._on_document)

    # Images

    def _offer(self) -> None:
        """List the image layers; begin with the first that can be, where none is chosen."""
        workbench, errors = self._workbench, []
        for image in workbench.images:
            if workbench.image is None:
                try:
                    workbench.bind(image)
                except DinomedError as error:
                    errors.append((image, str(error)))
        self._list_images()
        for image, text in errors:
            # Once for each: that there is a picture in colour is no news at every change.
            if workbench.image is None and image not in self._complained:
                self._complained.add(image)
                workbench.failed.emit(text)

    def _list_images(self) -> None:
        current, images = self._workbench.image, self._workbench.images
        self.images.clear()
        if current is None:
            self.images.addItem("–", None)
        for image in images:
            self.images.addItem(image.name, image)
        if current is not None:
            self.images.setCurrentIndex(self.images.findText(current.name))
        for box in self.others:
            box.clear()
            box.addItem("nothing else", None)
            for image in images:
                if image != current:
                    box.addItem(image.name, image)
        session = self._workbench.session
        if session is not None:
            self._on_document(session.document)
        for widget in (self.compute, self.display, self.windows, self.encoders):
            widget.setEnabled(session is not None)
        for box in self.others:
            box.setEnabled(session is not None and len(images) > 1)

    def _choose_image(self) -> None:
        image = self.images.currentData()
        if image is not None:
            self._workbench.attempt(lambda: self._workbench.bind(image))
        self._list_images()

    def _choose_others(self) -> None:
        chosen = [box.currentData() for box in self.others if box.currentData() is not None]
        self._workbench.attempt(lambda: self._workbench.see_with(chosen))

    # Windows and encoder

    def _choose_display(self) -> None:
        session, image = self._workbench.session, self._workbench.image
        if session is None or image is None:
            return
        window = choose_window(session.volume, self.display.currentData() or None)
        low, high = image.contrast_limits_range
        image.contrast_limits_range = (min(window.low, low), max(window.high, high))
        image.contrast_limits = (window.low, window.high)

    def _choose_encoder(self) -> None:
        session = self._workbench.session
        name = self.encoders.currentData()
        if session is None:
            return
        if name == _FILE:
            name = self._ask_for_file()
        if name and self._is_ready(name):
            self._workbench.choose("encoder", encoder=name)
        self._on_document(session.document)

    def _ask_for_file(self) -> str:
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Weights of a vision transformer, or an adapter",
            "",
            f"Weights (*.safetensors *.pth *{ADAPTER_SUFFIX})",
        )
        return f"file:{path}" if path else ""

    def _ask_for_encoders(self) -> None:
        call = self._engine.submit(Describe())
        call.future.add_done_callback(lambda f: self._deliver(lambda: self._list(f)))

    def _list(self, future: Any) -> None:
        if future.exception() is not None:
            self._workbench.failed.emit(str(future.exception()))
            return
        described: Described = future.result()
        self._encoders = {info.name: info for info in described.encoders}
        self.encoders.clear()
        for info in described.encoders:
            mark = "" if info.present else "  ⭳"
            self.encoders.addItem(f"{info.title}{mark}", info.name)
        self.encoders.addItem(_FILE, _FILE)
        session = self._workbench.session
        if session is not None:
            self._on_document(session.document)

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
            lambda event: self._deliver(lambda: self._on_fetching(event)),
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

    def _on_fetching(self, event: Any) -> None:
        if isinstance(event, Progress):
            self._show_progress(event)

    def _on_fetched(self, name: str, future: Any) -> None:
        self._rest()
        error = future.exception()
        if error is not None:
            self._workbench.failed.emit(str(error))
            return
        self._ask_for_encoders()
        self._workbench.choose("encoder", encoder=name)

    # Computing

    def _compute(self) -> None:
        if self._workbench.session is not None:
            self._workbench.session.computing.encode()

    def _cancel(self) -> None:
        if self._workbench.session is not None:
            self._workbench.session.computing.cancel()

    def _on_activity(self, activity: Activity) -> None:
        is_busy = activity.phase in (Phase.ENCODING, Phase.ANSWERING)
        if activity.phase is Phase.ENCODING or activity.progress is not None:
            self._work("Computing features")
        else:
            self._rest()
        if activity.progress is not None:
            self._show_progress(activity.progress)
        self.state.setText(_in_words(activity, self._waits()))
        self.compute.setEnabled(not is_busy and self._workbench.session is not None)

    def _waits(self) -> bool:
        session = self._workbench.session
        return session is not None and bool(session.document.waiting)

    def _work(self, what: str) -> None:
        if not self.bar.isHidden():
            return
        self._begun = time.monotonic()
        self.bar.setRange(0, 0)
        self.bar.setFormat(what)
        self.bar.show()
        self.cancel.show()

    def _rest(self) -> None:
        self.bar.hide()
        self.cancel.hide()

    def _show_progress(self, progress: Progress) -> None:
        if not progress.total:
            self.bar.setRange(0, 0)
            self.bar.setFormat(progress.text)
            return
        spent = time.monotonic() - self._begun
        left = spent * (progress.total - progress.done) / max(1, progress.done)
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        self.bar.setFormat(f"%v of %m {progress.text}, {left:.0f} s left")

    # Showing

    def _on_bound(self) -> None:
        self.display.setCurrentIndex(0)
        self._list_images()
        if self._workbench.session is None:
            self._rest()
            self.state.setText(_NO_IMAGE)

    def _on_document(self, document: Document) -> None:
        choices = document.choices
        _select(self.windows, choices.window)
        if self.encoders.findData(choices.encoder) < 0:
            self.encoders.insertItem(0, choices.encoder.rpartition("/")[2], choices.encoder)
        _select(self.encoders, choices.encoder)
        session = self._workbench.session
        for place, box in enumerate(self.others):
            seen = choices.others[place] if place < len(choices.others) else None
            number = 0
            if seen is not None and session is not None:
                number = self._number_of(box, seen)
            box.setCurrentIndex(number)

    def _number_of(self, box: QComboBox, fingerprint: str) -> int:
        """Where an image of this fingerprint stands in a box; 0 where it is not open."""
        for number in range(1, box.count()):
            if self._workbench.fingerprint_of(box.itemData(number)) == fingerprint:
                return number
        return 0


def _in_words(activity: Activity, waits: bool) -> str:
    if activity.phase is Phase.ENCODING:
        return "Computing features; clicks wait for them"
    if activity.phase is Phase.ANSWERING:
        return "Answering your last click"
    if waits:
        return "A click is not answered yet: compute features"
    if activity.phase is Phase.READY:
        return f"Features ready · {activity.device}"
    return "Click to begin; features are read or computed first"


def _select(box: QComboBox, value: str) -> None:
    box.setCurrentIndex(max(0, box.findData(value)))


def _keep_room(widget: QWidget) -> None:
    """Let nothing below jump when a widget comes and goes."""
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)
