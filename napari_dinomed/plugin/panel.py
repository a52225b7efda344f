"""The dock widget: image and features, labels, tools, result, from top to bottom."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_dinomed.plugin.bridge import Bridge
from napari_dinomed.plugin.engines import APPLICATION
from napari_dinomed.plugin.finish_box import FinishBox
from napari_dinomed.plugin.image_box import ImageBox
from napari_dinomed.plugin.labels_box import LabelsBox
from napari_dinomed.plugin.model_box import ModelBox
from napari_dinomed.plugin.orientation import show_orientation
from napari_dinomed.plugin.prompts_box import PromptsBox
from napari_dinomed.plugin.result_box import ResultBox
from napari_dinomed.plugin.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_dinomed.session.computing import Asks

_DISCLAIMER = "Not a medical device. Nothing leaves this machine."


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
        self._was_docked = self._has_error = False
        asked = engine if engine is not None else APPLICATION.lend()
        self._bridge = Bridge(self)
        self.workbench = Workbench(napari_viewer, asked, self._bridge.deliver)
        self.labels_box = LabelsBox(self.workbench)
        self.prompts_box = PromptsBox(self.workbench)
        self.finish_box = FinishBox(self.workbench, self._bridge.deliver)
        self.result_box = ResultBox(self.workbench)
        self.model_box = ModelBox(self.workbench)
        self._status = QLabel(_DISCLAIMER)
        self._status.setWordWrap(True)
        self.workbench.said.connect(self._say)
        self.workbench.failed.connect(self._complain)
        self.workbench.recovered.connect(self._forget_error)
        # Last: it begins with the first image, which the others must hear of.
        self.image_box = ImageBox(self.workbench, asked, self._bridge.deliver)
        content = QWidget()
        layout = QVBoxLayout(content)
        for box in (
            self.image_box,
            self.labels_box,
            self.prompts_box,
            self.finish_box,
            self.result_box,
            self.model_box,
            self._status,
        ):
            layout.addWidget(box)
        layout.addStretch()
        self._let_scroll(content)
        show_orientation(napari_viewer)
        # Closing the window destroys the panel, and its slots, without asking it.
        self._leave = partial(_leave, self.workbench, engine is None)
        self.destroyed.connect(partial(self._leave, Workbench.abandon))

    def _let_scroll(self, content: QWidget) -> None:
        """Many labels, or a small screen, must not make the window grow."""
        scroll = _Scroll()
        scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

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
        self._leave(Workbench.close)

    def _say(self, text: str) -> None:
        self._set_status(text)
        show_info(text)

    def _complain(self, text: str) -> None:
        self._has_error = True
        self._set_status(text)
        show_error(text)

    def _forget_error(self) -> None:
        if self._has_error:
            self._has_error = False
            self._set_status(_DISCLAIMER)

    def _set_status(self, text: str) -> None:
        self._status.setText(text)


class _Scroll(QScrollArea):
    """Scrolls up and down; as wide as what is in it needs, also when that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Follow what is in it."""
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            bar = self.verticalScrollBar()
            room = bar.sizeHint().width() if bar is not None else 0
            self.setMinimumWidth(watched.minimumSizeHint().width() + room)
        return bool(super().eventFilter(watched, event))


def _leave(
    workbench: Workbench, is_borrowed: bool, way: Callable[[Workbench], None], *_: object
) -> None:
    """Leave a viewer, once, and give the engine back if it was borrowed."""
    if not workbench.is_closed:
        way(workbench)
        if is_borrowed:
            APPLICATION.give_back()
