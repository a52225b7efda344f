"""What the panel can do, as a page: one sentence for every control, and the keys.

In: the panel's widgets and the key map. Out: HTML; nothing is written down a second time.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGroupBox, QTextBrowser, QVBoxLayout

from napari_dinomed.plugin.keymap import KEYMAP, LABEL_KEYS, MOUSE

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def controls_in(panel: QWidget) -> list[QWidget]:
    """Widgets that take the keyboard, in the order of the Tab key; no pop-up's own."""
    found, widget = [], panel.nextInFocusChain()
    while widget is not None and widget is not panel:
        takes_keys = widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        if takes_keys and panel.isAncestorOf(widget) and widget.window() is panel.window():
            found.append(widget)
        widget = widget.nextInFocusChain()
    return found


def page_of(panel: QWidget) -> str:
    """The page, as HTML."""
    lines = ["<h3>Keys on the canvas</h3>", "<table cellpadding=3>"]
    numbers = f"{LABEL_KEYS[0]} … {LABEL_KEYS[-1]}"
    keys = [(key.shown, key.does) for key in KEYMAP.values()]
    keys += [(numbers, "aim at the first to ninth label"), *MOUSE.items()]
    for shown, does in keys:
        lines.append(f"<tr><td><b>{escape(shown)}</b></td><td>{escape(does)}</td></tr>")
    lines.append("</table>")
    box, told = None, set()
    for widget in controls_in(panel):
        name, does = widget.accessibleName(), widget.toolTip()
        group = _group_of(widget)
        if (group, name) in told or not does:
            continue
        told.add((group, name))
        if group != box:
            box = group
            lines.append(f"<h3>{escape(group)}</h3>")
        lines.append(f"<p><b>{escape(name)}</b>: {escape(does)}</p>")
    return "\n".join(lines)


def show_manual(panel: QWidget) -> QDialog:
    """Open the page in a window that does not hold up anything."""
    dialog = QDialog(panel.window())
    dialog.setWindowTitle("Keys and controls")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    page = QTextBrowser()
    page.setHtml(page_of(panel))
    layout = QVBoxLayout(dialog)
    layout.addWidget(page)
    # About sixty letters a line.
    dialog.resize(560, 620)
    dialog.show()
    return dialog


def _group_of(widget: QWidget) -> str:
    """The title of the box that a widget is in."""
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QGroupBox):
        above = above.parentWidget()
    return above.title() if above is not None else "Panel"
