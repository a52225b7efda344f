"""How the panel's controls stand and look: close together, and the focus in plain view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme

if TYPE_CHECKING:
    from qtpy.QtWidgets import QGroupBox, QWidget

# Around and between controls, in logical pixels: the tools and Save must be seen on a
# screen of 720 lines.
_SPACING = 4
_FOCUS = (
    "QPushButton:focus, QComboBox:focus, QTableView:focus, QAbstractSlider:focus, "
    "QAbstractSpinBox:focus {{ border: 2px solid {color}; }}"
)


def tighten(box: QGroupBox) -> None:
    """Bring a box' controls close together."""
    layout = box.layout()
    if layout is not None:
        layout.setContentsMargins(*(_SPACING,) * 4)
        layout.setSpacing(_SPACING)


def keep_focus_seen(panel: QWidget, viewer: Any) -> None:
    """Frame what has the keyboard, in the colour of the theme's text."""

    def paint() -> None:
        color = get_theme(viewer.theme).text.as_hex()
        panel.setStyleSheet(_FOCUS.format(color=color))

    viewer.events.theme.connect(paint)
    panel.destroyed.connect(lambda: viewer.events.theme.disconnect(paint))
    paint()
