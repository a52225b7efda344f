"""What the user has in hand: the tool, and what the next click or stroke means.

In: choices of the panel and keys. Out: the layers of a sheet, armed accordingly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_dinomed.annotation.region import Role
from napari_dinomed.plugin.teaching import paint_teaches, remember_paint_teaches

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench

# By the name of a tool: whose layer it works on, and that layer's mode.
_TOOLS = {
    "point": ("prompts", "add"),
    "scribble": ("scribbles", "paint"),
    "box": ("regions", "add_rectangle"),
    "lasso": ("regions", "add_polygon_lasso"),
    "brush": ("result", "paint"),
    "erase": ("result", "erase"),
}
# The mode of a layer in which a drag moves the view.
_TURNING = "pan_zoom"
_REGION_TOOLS = ("box", "lasso")


class Hand:
    """The tool in use, the label aimed at, and what is said of it.

    Parameters
    ----------
    bench
        The workbench.
    """

    aim_changed = Signal(int, bool)
    tool_changed = Signal(str)

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self.label = 1
        self.include = self.is_inside = True
        # To include through all slices is seldom meant, to limit nearly always.
        self._through = {Role.INCLUDE: False, Role.EXCLUDE: True, Role.INSIDE: True}
        self.paint_teaches = paint_teaches()
        self._tool = "point"
        self._was_solid = False
        bench.viewer.layers.selection.events.active.connect(self.tell_tool)
        bench.viewer.dims.events.ndisplay.connect(self._on_turned)

    def end(self) -> None:
        """Leave the viewer, and tell nobody any more."""
        self.aim_changed.disconnect()
        self.tool_changed.disconnect()
        self._bench.viewer.layers.selection.events.active.disconnect(self.tell_tool)
        self._bench.viewer.dims.events.ndisplay.disconnect(self._on_turned)

    # What is meant

    def aim(self, label: int | None = None, include: bool | None = None) -> None:
        """Choose what the next click, stroke or touch of the brush means."""
        self.label = self.label if label is None else label
        self.include = self.include if include is None else include
        if include is not None and self._tool in _REGION_TOOLS:
            self.is_inside = False
        self._arm()

    def aim_inside(self) -> None:
        """Make the next region say what the label is inside of."""
        self.is_inside = True
        self._arm()

    def go_through(self, is_through: bool) -> None:
        """Make such regions as the next one go through all slices, or through one."""
        self._through[self.role] = is_through
        self._arm()

    def teach_always(self, always: bool) -> None:
        """Make what brush and eraser correct prompts at once, from now on; or do not."""
        self.paint_teaches = always
        self._bench.attempt(lambda: remember_paint_teaches(always))

    def begin_with(self, document: Document) -> None:
        """Aim at the last label that is still open, and click."""
        still_open = [one.id for one in document.labels if not one.is_done]
        self.aim((still_open or [document.labels[0].id])[-1])
        self.point()

    def keep_to(self, document: Document) -> None:
        """Aim on: the label that was aimed at may be gone, or have another colour."""
        self.aim(self.label if document.has(self.label) else document.labels[-1].id)

    def turn_to(self, before: Document, after: Document) -> None:
        """Aim at what a step back or forth was about."""
        old = {id(one): one.label for one in before.prompts.all}
        new = {id(one): one.label for one in after.prompts.all}
        said = (old | new).items()
        about = [label for key, label in said if (key in old) != (key in new)]
        about += [one.id for one in after.labels if not before.has(one.id)]
        about = [label for label in about if after.has(label)]
        if about and self.label not in about:
            self.aim(about[-1])

    @property
    def role(self) -> Role:
        """What the next region says."""
        if self.is_inside:
            return Role.INSIDE
        return Role.INCLUDE if self.include else Role.EXCLUDE

    @property
    def is_through(self) -> bool:
        """Whether it goes through all slices."""
        return self._through[self.role]

    def _arm(self) -> None:
        session, sheet = self._bench.session, self._bench.sheet
        if session is not None and sheet is not None:
            sheet.arm(session.document, self.label, self.include, self.role)
        self.aim_changed.emit(self.label, self.include)

    # The tool

    @property
    def draws_regions(self) -> bool:
        """Whether a box or a lasso is in hand."""
        return self._tool in _REGION_TOOLS

    def point(self) -> None:
        """Click to place points."""
        self._take_up("point")

    def scribble(self) -> None:
        """Draw strokes that teach."""
        self._take_up("scribble")

    def box(self) -> None:
        """Draw a box around something."""
        self._take_up("box")

    def lasso(self) -> None:
        """Draw round something."""
        self._take_up("lasso")

    def brush(self) -> None:
        """Paint the label itself."""
        self._take_up("brush")

    def erase(self) -> None:
        """Rub out what is there."""
        self._take_up("erase")

    def take_up_again(self) -> None:
        """Take the tool up on layers that napari has put out of hand."""
        self._take_up(self._tool)

    def _take_up(self, tool: str) -> None:
        self._tool = tool
        sheet, layers = self._bench.sheet, self._bench.viewer.layers
        if sheet is not None:
            what, mode = _TOOLS[tool]
            layer = getattr(sheet, what).layer
            sheet.use(layer)
            # A layer that is about to come is taken up when it is there.
            if layer in layers:
                # What is worked on is seen; napari draws it anew each time this is said.
                if not layer.visible:
                    layer.visible = True
                layers.selection.active = layer
                layer.mode = _TURNING if self._is_solid else mode
                self.tell_tool()
                self._arm()

    def tell_tool(self) -> None:
        """Say which tool napari is set to; none of ours if it is another one."""
        sheet = self._bench.sheet
        if sheet is None:
            return
        self.tool_changed.emit(self._in_use(self._is_solid))

    def _in_use(self, is_solid: bool) -> str:
        """The tool that napari is set to; in 3-D it is set to turn the view instead."""
        sheet = self._bench.sheet
        active = self._bench.viewer.layers.selection.active
        for tool, (what, mode) in _TOOLS.items():
            layer = None if sheet is None else getattr(sheet, what).layer
            # A viewer handed to plugins wraps what it gives: equal, not the same.
            if layer is None or active != layer:
                continue
            now = str(layer.mode)
            if now == mode or (is_solid and now == _TURNING and tool == self._tool):
                return tool
        return ""

    @property
    def _is_solid(self) -> bool:
        return bool(self._bench.viewer.dims.ndisplay == 3)

    def _on_turned(self) -> None:
        """In 3-D a drag turns the view, whatever is in hand; slices bring it back."""
        was, self._was_solid = self._was_solid, self._is_solid
        if was != self._was_solid and self._in_use(was):
            self.take_up_again()
