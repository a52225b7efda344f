"""One more plane of the volume in work, in a viewer of its own.

In: a workbench. Out: a viewer with the same image and the same document; what is clicked,
drawn and painted there counts as in the workbench's own viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.experimental import link_layers, unlink_layers
from napari.layers import Image

from napari_dinomed.plugin.hearing import Hearing
from napari_dinomed.plugin.layers import placement_of
from napari_dinomed.plugin.mouse import Mouse
from napari_dinomed.plugin.orientation import show_orientation
from napari_dinomed.plugin.planes import Plane, show_plane
from napari_dinomed.plugin.sheet import Sheet

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.engine.messages import SliceLabels
    from napari_dinomed.plugin.workbench import Workbench

_LINKED_OF_IMAGE = ("contrast_limits_range", "contrast_limits", "gamma", "colormap")
_LINKED_OF_LABELS = ("opacity", "contour", "visible", "brush_size")


class OtherView:
    """A plane beside the one in the workbench's viewer.

    Parameters
    ----------
    bench
        The workbench, which has a session.
    plane
        What is shown.
    """

    def __init__(self, bench: Workbench, plane: Plane) -> None:
        own, session, sheet = bench.image, bench.session, bench.sheet
        assert own is not None  # there is a session
        assert session is not None
        assert sheet is not None
        self._bench, self._session, self._main = bench, session, sheet
        self.viewer = ViewerModel(title=str(plane))
        self.viewer.theme = bench.viewer.theme
        self.image = image_like(own)
        self.viewer.layers.append(self.image)
        self.sheet = Sheet(self.viewer, self.image, session.document)
        self.sheet.keep_up()
        self._hearing = Hearing(
            self.viewer,
            self.sheet,
            session,
            bench.turns,
            bench.hand,
            lambda why: bench.failed.emit(why),
        )
        self._mouse = Mouse(
            self.viewer,
            self.image,
            self.sheet.layers,
            bench.viewport.label_at,
            tells_window=False,
        )
        bench.keys.bind(self.sheet, self.image)
        bench.keys.bind_everywhere(self.viewer)
        show_plane(self.viewer, plane)
        show_orientation(self.viewer)
        self._links: list[tuple[list[Layer], tuple[str, ...]]] = []
        self._link([own, self.image], _LINKED_OF_IMAGE)
        self._link([sheet.result.layer, self.sheet.result.layer], _LINKED_OF_LABELS)
        self._connect()
        self._arm(bench.hand.label, bench.hand.include)
        self._take_up()
        self._on_view()

    def _connect(self) -> None:
        session, bench = self._session, self._bench
        session.changed.connect(self._on_changed)
        session.computing.slice_labelled.connect(self._on_slice)
        session.computing.gave_up.connect(self._on_gave_up)
        self._main.drafted.connect(self._on_draft)
        bench.hand.aim_changed.connect(self._arm)
        bench.hand.tool_changed.connect(self._take_up)
        self.viewer.dims.events.current_step.connect(self._on_view)
        self.viewer.events.status.connect(self._tell)

    def end(self) -> None:
        """Hear and show nothing from now on."""
        session, bench = self._session, self._bench
        for signal, slot in (
            (session.changed, self._on_changed),
            (session.computing.slice_labelled, self._on_slice),
            (session.computing.gave_up, self._on_gave_up),
            (self._main.drafted, self._on_draft),
            (bench.hand.aim_changed, self._arm),
            (bench.hand.tool_changed, self._take_up),
        ):
            signal.disconnect(slot, missing_ok=True)
        self.viewer.dims.events.current_step.disconnect(self._on_view)
        self.viewer.events.status.disconnect(self._tell)
        self._hearing.end()
        self._mouse.end()
        for layers, names in self._links:
            unlink_layers(layers, names)

    def _on_view(self, *_: Any) -> None:
        view = self.sheet.view
        if view is not None:
            self.sheet.look_at(view, self._session.document)

    def _link(self, layers: list[Layer], names: tuple[str, ...]) -> None:
        for name in names:
            setattr(layers[1], name, getattr(layers[0], name))
        link_layers(layers, names)
        self._links.append((layers, names))

    def _tell(self) -> None:
        """The window has one status bar."""
        self._bench.viewer.status = self.viewer.status

    # What the session and the workbench say

    def _on_changed(self, before: Document, after: Document) -> None:
        self._bench.turns.run(lambda: self.sheet.show(before, after))

    def _on_slice(self, part: SliceLabels) -> None:
        document = self._session.document
        self._bench.turns.run(lambda: self.sheet.show_early(part, document))

    def _on_gave_up(self) -> None:
        self._bench.turns.run(lambda: self.sheet.show_settled(self._session.document))

    def _on_draft(self, before: Document, after: Document | None) -> None:
        if after is None:
            self.sheet.show_settled(before)
        else:
            self.sheet.show_draft(before, after)

    def _arm(self, label: int, include: bool) -> None:
        if self._session.document.has(label):
            self.sheet.arm(self._session.document, label, include, self._bench.hand.role)

    def _take_up(self, *_: Any) -> None:
        """Take up the tool that the workbench's viewer has."""
        active = self._bench.viewer.layers.selection.active
        for theirs, own in zip(self._main.layers, self.sheet.layers, strict=True):
            if active == theirs:
                self.sheet.use(own)
                self.viewer.layers.selection.active = own
                own.mode = str(theirs.mode)


def image_like(image: Image) -> Image:
    """A layer of the same voxels, in the same place, looking the same."""
    return Image(
        image.data,
        name=image.name,
        colormap=image.colormap,
        contrast_limits=image.contrast_limits,
        gamma=image.gamma,
        metadata=dict(image.metadata),
        **(placement_of(image) if image.ndim == 3 else {}),
    )
