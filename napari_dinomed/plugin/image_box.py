"""What is segmented and what describes it: image, encoder, and how far features are."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
)

from napari_dinomed.engine.messages import (
    Describe,
    Described,
    EncoderInfo,
    FetchWeights,
    Progress,
)
from napari_dinomed.errors import DinomedError
from napari_dinomed.features.catalog import ADAPTER_SUFFIX
from napari_dinomed.features.naming import known_as
from napari_dinomed.plugin.compare_dialog import open_comparison
from napari_dinomed.plugin.controls import Either, button, narrow, told
from napari_dinomed.plugin.costs import doing, in_full, in_short
from napari_dinomed.plugin.encoders import FILTERS, advice, known_of
from napari_dinomed.plugin.engines import another
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.offer import DINO, SMALLEST, may_fetch
from napari_dinomed.plugin.opening import opening_menu
from napari_dinomed.session.activity import Activity, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_dinomed.annotation.choices import Choices
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.engine.messages import Estimated
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.session.session import Session

_FILE = "Weights from a file…"
_NO_IMAGE = "Open an image to begin"
_ENCODES = "What describes the voxels; chosen once for all volumes of a kind"


class ImageBox(QGroupBox):
    """The image, the encoder, and the button that computes features."""

    def __init__(
        self,
        workbench: Workbench,
        engine: Asks,
        deliver: Deliver,
        make_another: Callable[[], Asks] = another,
    ) -> None:
        super().__init__("Image")
        self._another = make_another
        self._workbench = workbench
        self._engine = engine
        self._deliver = deliver
        self._begun, self._where = 0.0, ""
        self._complained: weakref.WeakSet[Image] = weakref.WeakSet()
        self._encoders: dict[str, EncoderInfo] = {}
        self.images = narrow(told(QComboBox(), "Image", "The image that clicks are on"))
        self.encoders = narrow(told(QComboBox(), "Encoder", _ENCODES))
        self.encoders.addItem("3-D filters (built in, no weights)", FILTERS)
        self.open = button("Open…", "Open files, a folder or a sample", self._ask_to_open)
        self.compute = button(
            "Compute", "Compute features now; else the first click does", self._compute
        )
        self.cancel = button(
            "Cancel",
            f"Stop computing; what is done is kept ({KEYMAP[Action.CANCEL].shown})",
            self._cancel,
        )
        self.compare = button(
            "Compare…",
            "Try all encoders that are here on this volume's own labels, in the background",
            self._compare,
        )
        self.offer = button("Get DINOv3…", "What it is, how large, and on what terms")
        self.offer.clicked.connect(lambda: self._take_offer())
        self.offer.hide()
        self._estimated: Estimated | None = None
        self._foretold: Choices | None = None
        self.bar, self.state = QProgressBar(), QLabel(_NO_IMAGE)
        self.advice = QLabel()
        self.advice.setWordWrap(True)
        self.advice.hide()
        self._lay_out()
        self._connect()
        self._offer(workbench.bind)
        self._ask_for_encoders()

    # Layout

    def _lay_out(self) -> None:
        # What comes and goes shares its place with what it stands for: nothing jumps.
        self._buttons, self._states = (
            Either(self.compute, self.cancel),
            Either(self.state, self.bar),
        )
        layout = QGridLayout(self)
        layout.setColumnStretch(1, 1)
        layout.addWidget(QLabel("Image"), 0, 0)
        layout.addWidget(self.images, 0, 1)
        layout.addWidget(self.open, 0, 2)
        layout.addWidget(QLabel("Encoder"), 1, 0)
        layout.addWidget(self.encoders, 1, 1)
        layout.addWidget(self._buttons, 1, 2)
        layout.addWidget(self._states, 2, 0, 1, 3)
        choices = QHBoxLayout()
        choices.addWidget(self.offer, 1)
        choices.addWidget(self.compare, 1)
        layout.addLayout(choices, 4, 0, 1, 3)
        layout.addWidget(self.advice, 3, 0, 1, 3)

    def _connect(self) -> None:
        workbench = self._workbench
        self.images.activated.connect(lambda _: self._choose_image())
        self.encoders.activated.connect(lambda _: self._choose_encoder())
        workbench.images_changed.connect(lambda: self._offer(workbench.begin_with))
        workbench.bound.connect(self._on_bound)
        workbench.acted.connect(self._on_activity)
        workbench.document_changed.connect(self._on_document)

    # Images

    def _offer(self, bind: Callable[[Image], None]) -> None:
        """List the image layers; bind the first that can be, where none is chosen."""
        workbench, errors = self._workbench, []
        for image in workbench.images:
            if workbench.image is None and not workbench.is_beginning:
                try:
                    bind(image)
                except DinomedError as error:
                    errors.append((image, str(error)))
        self._list_images()
        for image, text in errors:
            # Once for each: that there is a picture in colour is no news at every change.
            has_none = workbench.image is None and not workbench.is_beginning
            if has_none and image not in self._complained:
                self._complained.add(image)
                workbench.failed.emit(text)

    def _list_images(self) -> None:
        current, images = self._workbench.chosen, self._workbench.images
        self.images.clear()
        if current is None:
            self.images.addItem("–", None)
        for image in images:
            self.images.addItem(image.name, image)
        if current is not None:
            self.images.setCurrentIndex(self.images.findText(current.name))
        session = self._workbench.session
        if session is not None:
            self._on_document(session.document)
        else:
            self._say_what_comes()
        self.images.setEnabled(bool(images))
        for widget in (self.compute, self.encoders, self.compare, self.offer):
            widget.setEnabled(session is not None)

    def _say_what_comes(self) -> None:
        coming = self._workbench.chosen
        self._say(_NO_IMAGE if coming is None else f"Going to {coming.name} …")

    def _ask_to_open(self) -> None:
        below = self.open.mapToGlobal(self.open.rect().bottomLeft())
        opening_menu(self, self._workbench).exec(below)

    def _choose_image(self) -> None:
        image = self.images.currentData()
        if image is not None:
            self._workbench.attempt(lambda: self._workbench.begin_with(image))
            if image == self._workbench.chosen:
                self._workbench.viewport.uncover(image)
        self._list_images()

    # Encoder

    def _choose_encoder(self) -> None:
        session = self._workbench.session
        name = self.encoders.currentData()
        if session is None:
            return
        if name == _FILE:
            name = self._ask_for_file()
        if name and self._is_ready(name):
            self._workbench.choose_encoder(name)
            self._ask_for_estimate()
        self._on_document(session.document)

    def _take_offer(self) -> None:
        if self._is_ready(SMALLEST):
            self._workbench.choose_encoder(SMALLEST)

    def _ask_for_estimate(self) -> None:
        """Have it said what features will take, before they are computed."""
        self._estimated, session = None, self._workbench.session
        if session is not None:
            self._foretold = session.document.choices
            session.computing.estimate(self._show_estimate)

    def _foretell_anew(self) -> None:
        """After undo, too, and where something else is seen."""
        session = self._workbench.session
        if session is not None and self._foretold not in (None, session.document.choices):
            self._ask_for_estimate()

    def _show_estimate(self, found: Estimated) -> None:
        self._estimated = found
        session = self._workbench.session
        if session is not None and session.computing.activity.phase is Phase.BARE:
            self.state.setText(in_short(found))
            self.state.setToolTip(in_full(found))

    def _compare(self) -> None:
        self._workbench.act(self._open_comparison)

    def _open_comparison(self, session: Session) -> QDialog:
        dialog = open_comparison(
            self.window(),
            session,
            {n: info.title for n, info in self._encoders.items() if info.present},
            self._another,
            self._deliver,
            lambda one: self._workbench.choose_encoder(one.encoder, planes=one.planes),
        )
        # What it computed is on disk now.
        dialog.destroyed.connect(self._ask_for_estimate)
        return dialog

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
            mark = "" if info.present else " (to be fetched)"
            self.encoders.addItem(f"{info.title}{mark}", info.name)
        self.encoders.addItem(_FILE, _FILE)
        dino = [info.present for info in described.encoders if info.name.startswith(DINO)]
        self.offer.setVisible(bool(dino) and not any(dino))
        session = self._workbench.session
        if session is not None:
            self._on_document(session.document)

    def _is_ready(self, name: str) -> bool:
        """Whether an encoder's weights are here; offers to fetch them where not."""
        info = self._encoders.get(name)
        if info is None or info.present:
            return True
        licence = info.licence_to_accept or ""
        if not may_fetch(self, info):
            return False
        self._work(f"Fetching {info.title}")
        call = self._engine.submit(
            FetchWeights(name, accepted=licence),
            lambda event: self._deliver(lambda: self._on_fetching(event)),
        )
        call.future.add_done_callback(
            lambda future: self._deliver(lambda: self._on_fetched(name, future))
        )
        return False

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
        self._workbench.choose_encoder(name)

    # Computing

    def _compute(self) -> None:
        if self._workbench.session is not None:
            self._workbench.session.computing.encode()

    def _cancel(self) -> None:
        if self._workbench.session is not None:
            self._workbench.session.computing.cancel()

    def _on_activity(self, activity: Activity) -> None:
        is_busy = activity.phase in (Phase.ENCODING, Phase.ANSWERING)
        self._where = activity.where
        if activity.phase is Phase.ENCODING or activity.progress is not None:
            self._work("Computing features")
        else:
            self._rest()
        if activity.progress is not None:
            self._show_progress(activity.progress)
        session = self._workbench.session
        is_asked = session is not None and session.computing.is_on_errand
        text = doing(activity, self._waits(), is_asked)
        if activity.phase is Phase.BARE and self._estimated and not self._waits():
            text = in_short(self._estimated)
        self._say(text)
        self.compute.setEnabled(not is_busy and self._workbench.session is not None)

    def _say(self, text: str) -> None:
        self.state.setText(text)
        self.state.setToolTip(text)

    def _waits(self) -> bool:
        session = self._workbench.session
        return session is not None and bool(session.document.waiting)

    def _work(self, what: str) -> None:
        if self._states.shows_second:
            return
        self._begun = time.monotonic()
        self.bar.setRange(0, 0)
        self.bar.setFormat(what)
        self._states.show_second(True)
        self._buttons.show_second(True)

    def _rest(self) -> None:
        self._states.show_second(False)
        self._buttons.show_second(False)

    def _show_progress(self, progress: Progress) -> None:
        if not progress.total:
            self.bar.setRange(0, 0)
            self.bar.setFormat(progress.text)
            return
        spent = time.monotonic() - self._begun
        left = spent * (progress.total - progress.done) / max(1, progress.done)
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        where = f" · {self._where}" if self._where else ""
        self.bar.setFormat(f"%v of %m {progress.text}, {left:.0f} s left{where}")

    # Showing

    def _on_bound(self) -> None:
        self._list_images()
        self._estimated = self._foretold = None
        session = self._workbench.session
        # The filters take seconds, and are not worth a start of the engine before a click.
        if session is not None and session.document.choices.encoder != FILTERS:
            self._ask_for_estimate()
        if session is None:
            self._rest()
            self._say_what_comes()
            self.advice.hide()

    def _on_document(self, document: Document) -> None:
        name, session = document.choices.encoder, self._workbench.session
        self._deliver(self._foretell_anew)
        if self.encoders.findData(name) < 0:
            self.encoders.insertItem(0, known_as(name), name)
        self.encoders.setCurrentIndex(self.encoders.findData(name))
        if session is not None:
            kind = session.volume.modality
            self.advice.setText(advice(kind, name))
            self.advice.setVisible(bool(self.advice.text()))
            self.encoders.setToolTip("\n".join(filter(None, (_ENCODES, known_of(kind)))))
