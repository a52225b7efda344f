"""The dock widget: image and features, labels, prompts, result, from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_dinomed.engine.client import EngineClient
from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.bridge import Bridge
from napari_dinomed.plugin.image_box import ImageBox
from napari_dinomed.plugin.labels_box import LabelsBox
from napari_dinomed.plugin.orientation import show_orientation
from napari_dinomed.plugin.prompts_box import PromptsBox
from napari_dinomed.plugin.result_box import ResultBox
from napari_dinomed.plugin.workbench import Workbench

if TYPE_CHECKING:
    import napari

    from napari_dinomed.session.session import Asks

_DISCLAIMER = "Not a medical device. Nothing leaves this machine."


class Panel(QWidget):
    """Segment a volume by clicking on it.

    Parameters
    ----------
    napari_viewer
        The viewer that the panel is docked in.
    engine
        Who computes; an engine process of its own if None.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, engine: Asks | None = None
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._engine = engine if engine is not None else EngineClient()
        self._bridge = Bridge(self)
        self.workbench = Workbench(napari_viewer, self._engine, self._bridge.deliver)
        self.image_box = ImageBox(self.workbench, self._engine, self._bridge.deliver)
        self.labels_box = LabelsBox(self.workbench)
        self.prompts_box = PromptsBox(self.workbench)
        self.result_box = ResultBox(self.workbench)
        self._status = QLabel(_DISCLAIMER)
        self._status.setWordWrap(True)
        layout = QVBoxLayout(self)
        for box in (
            self.image_box,
            self.labels_box,
            self.prompts_box,
            self.result_box,
            self._status,
        ):
            layout.addWidget(box)
        layout.addStretch()
        self.workbench.said.connect(self._say)
        self.workbench.failed.connect(self._complain)
        self.image_box.chosen.connect(self._open)
        self._viewer.layers.events.inserted.connect(self._refresh_images)
        self._viewer.layers.events.removed.connect(self._refresh_images)
        self._refresh_images()
        show_orientation(napari_viewer)

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Let the engine end with the panel."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Stop listening to the viewer and end the engine process."""
        self._viewer.layers.events.inserted.disconnect(self._refresh_images)
        self._viewer.layers.events.removed.disconnect(self._refresh_images)
        self.workbench.detach()
        if isinstance(self._engine, EngineClient):
            self._engine.close()

    def _refresh_images(self) -> None:
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self.image_box.offer(images)

    def _open(self, image: Image | None) -> None:
        if image is None or image is self.workbench.image:
            return
        try:
            self.workbench.open(image)
        except DinomedError as error:
            self._complain(str(error))

    def _say(self, text: str) -> None:
        self._status.setText(text)
        show_info(text)

    def _complain(self, text: str) -> None:
        self._status.setText(text)
        show_error(text)
