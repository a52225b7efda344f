"""The dock widget: what is used most at the top, what happens now at its foot."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_dinomed.plugin.adapt_box import AdaptBox
from napari_dinomed.plugin.bridge import Bridge
from napari_dinomed.plugin.controls import button
from napari_dinomed.plugin.engines import APPLICATION
from napari_dinomed.plugin.finish_box import FinishBox
from napari_dinomed.plugin.four_up_window import FourUpWindow
from napari_dinomed.plugin.heap import Settled
from napari_dinomed.plugin.image_box import ImageBox
from napari_dinomed.plugin.labels_box import LabelsBox
from napari_dinomed.plugin.looks import keep_focus_seen, tighten
from napari_dinomed.plugin.manual import show_manual
from napari_dinomed.plugin.model_box import ModelBox
from napari_dinomed.plugin.orientation import show_orientation
from napari_dinomed.plugin.prompts_box import PromptsBox
from napari_dinomed.plugin.recent import remember_recent
from napari_dinomed.plugin.result_box import ResultBox
from napari_dinomed.plugin.review_box import ReviewBox
from napari_dinomed.plugin.sight_box import SightBox
from napari_dinomed.plugin.start_box import StartBox
from napari_dinomed.plugin.view_box import ViewBox
from napari_dinomed.plugin.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_dinomed.engine.place import Place
    from napari_dinomed.session.asking import Asks

# Between boxes, and around them, in logical pixels.
_EDGE = 3
# Seconds for which what was said stays, whatever is done meanwhile.
_SEEN = 5.0
_NO_DEVICE = "Not a medical device."


class Panel(QWidget):
    """Segment a volume by clicking on it.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.
    engine
        Who computes; the engine that all panels share if None.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, engine: Asks | None = None
    ) -> None:
        super().__init__()
        self._was_docked = False
        self._said_at = -_SEEN
        asked = engine if engine is not None else APPLICATION.lend()
        self._bridge = Bridge(self)
        self.workbench = Workbench(
            napari_viewer, asked, self._bridge.deliver, self._bridge.later
        )
        self.view_box = ViewBox(self.workbench)
        self.labels_box = LabelsBox(self.workbench)
        self.prompts_box = PromptsBox(self.workbench)
        self.finish_box = FinishBox(self.workbench, self._bridge.deliver)
        self.result_box = ResultBox(self.workbench, self._bridge.deliver)
        self.sight_box = SightBox(self.workbench)
        self.model_box = ModelBox(self.workbench)
        self.review_box = ReviewBox(self.workbench)
        self.adapt_box = AdaptBox(self.workbench, asked, self._bridge.deliver)
        self.start_box = StartBox(self.workbench)
        self._disclaimer = _disclaimer(asked.place)
        self._status = QLabel(self._disclaimer)
        self._status.setWordWrap(True)
        self.help = button("?", "Keys, and a sentence for every control (F1)", self.manual)
        self.help.setAccessibleName("Help")
        self.help.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.workbench.said.connect(self._say)
        self.workbench.asked_for_help.connect(self.manual)
        self.workbench.refused.connect(partial(self._complain, show=show_warning))
        self.workbench.failed.connect(partial(self._complain, show=show_error))
        self.workbench.recovered.connect(self._forget)
        self.finish_box.finishing.drafted.connect(lambda _: self._forget())
        # Last: it begins with the first image, which the others must hear of.
        self.image_box = ImageBox(self.workbench, asked, self._bridge.deliver)
        remember_recent(self.workbench)
        self.four_up = FourUpWindow(self, self.workbench, self._bridge.deliver)
        self.workbench.turned.connect(
            lambda: self.view_box.four.setChecked(self.four_up.is_open)
        )
        self._lay_out()
        keep_focus_seen(self, napari_viewer)
        show_orientation(napari_viewer)
        # Closing the window destroys the panel, and its slots, without asking it.
        settled = Settled(napari_viewer.layers)
        self._leave = partial(_leave, self.workbench, settled, engine is None)
        self.destroyed.connect(partial(self._leave, Workbench.abandon))

    def _lay_out(self) -> None:
        """Boxes that scroll, so that a small screen is enough, and messages below them."""
        content = QWidget()
        boxes = QVBoxLayout(content)
        boxes.setContentsMargins(*(_EDGE,) * 4)
        boxes.setSpacing(_EDGE)
        for box in (
            self.start_box,
            self.image_box,
            self.view_box,
            self.labels_box,
            self.prompts_box,
            self.result_box,
            self.finish_box,
            self.sight_box,
            self.model_box,
            self.review_box,
            self.adapt_box,
        ):
            boxes.addWidget(box)
            tighten(box)
        boxes.addStretch()
        scroll = _Scroll()
        scroll.setWidget(content)
        foot = QHBoxLayout()
        foot.setContentsMargins(_EDGE, 0, _EDGE, _EDGE)
        foot.addWidget(self._status, 1)
        foot.addWidget(self.help)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll, 1)
        outer.addLayout(foot)

    def manual(self) -> QDialog:
        """Show the keys, and a sentence for every control."""
        return show_manual(self)

    def event(self, event: QEvent) -> bool:
        """Leave when the dock widget around the panel is closed."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked:
                self.shut_down()
        return bool(super().event(event))

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Leave with the panel."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Leave the viewer, and the engine with the last panel; a second time is none."""
        self.four_up.close()
        session = self.workbench.session
        parting = session.models.parting if session is not None else ""
        self._leave(Workbench.close)
        if parting:
            show_info(parting)

    def _say(self, text: str) -> None:
        self._set_status(text)
        show_info(text)

    def _complain(self, text: str, show: Callable[[str], None]) -> None:
        self._set_status(text)
        # What is complained of is over with the first act that succeeds.
        self._said_at = -_SEEN
        show(text)

    def _forget(self) -> None:
        """After an act or an answer: what was said long before was about another."""
        if time.monotonic() - self._said_at > _SEEN:
            self._status.setText(self._disclaimer)

    def _set_status(self, text: str) -> None:
        self._status.setText(text)
        self._said_at = time.monotonic()


class _Scroll(QScrollArea):
    """Scrolls up and down; as wide as what is in it needs, also when that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as what is in it would like, with the bar beside it."""
        inside, usual = self.widget(), super().sizeHint()
        if inside is None:
            return usual
        return QSize(inside.sizeHint().width() + self._bar_width(), usual.height())

    def _bar_width(self) -> int:
        bar = self.verticalScrollBar()
        return int(bar.sizeHint().width()) if bar is not None else 0

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Follow what is in it."""
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            least = watched.minimumSizeHint().width()
            self.setMinimumWidth(least + self._bar_width())
        return bool(super().eventFilter(watched, event))


def _disclaimer(place: Place) -> str:
    """What this is not, and where voxels go."""
    if place.is_elsewhere:
        return f"{_NO_DEVICE} Volumes are sent to {place.name}, and nowhere else."
    return f"{_NO_DEVICE} Nothing leaves this machine."


def _leave(
    workbench: Workbench,
    settled: Settled,
    is_borrowed: bool,
    way: Callable[[Workbench], None],
    *_: object,
) -> None:
    """Leave a viewer, once, and give the engine back if it was borrowed."""
    if not workbench.is_closed:
        way(workbench)
        settled.end()
        if is_borrowed:
            APPLICATION.give_back()
