"""Making controls that say what they are: each has a name and a sentence.

In: a widget, what it is called and what it does. Out: the same widget with a tool tip and a
name for screen readers; the list of keys and controls is made from these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QLocale, QObject, Qt, QTimer
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QComboBox,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Widget = TypeVar("_Widget", bound=QWidget)
_Box = TypeVar("_Box", bound="QComboBox")


def told(widget: _Widget, name: str, does: str) -> _Widget:
    """Give a widget, and those that it is made of, a name and a sentence."""
    for part in (widget, *widget.findChildren(QWidget)):
        part.setAccessibleName(name)
        part.setToolTip(does)
    return widget


class _Button(QPushButton):
    """As narrow as it must be for its first text, in whatever font."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._first = text
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._fit()

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Follow the font, which the user may choose."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """What is too long for the button ends in dots."""
        del event
        option = QStyleOptionButton()
        self.initStyleOption(option)
        room = self.width() - _MARGINS // 2
        option.text = self.fontMetrics().elidedText(
            option.text, Qt.TextElideMode.ElideRight, room
        )
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)

    def _fit(self) -> None:
        width = self.fontMetrics().horizontalAdvance(self._first)
        self.setMinimumWidth(width + _MARGINS)


def button(text: str, does: str, act: Callable[[], object] | None = None) -> QPushButton:
    """A button that is as narrow as it must be, and what it does when pressed."""
    made = told(_Button(text), text.rstrip("…"), does)
    if act is not None:
        made.clicked.connect(lambda: act())
    return made


def toggle(text: str, does: str, act: Callable[[], object] | None = None) -> QPushButton:
    """A button that stays down."""
    made = button(text, does, act)
    made.setCheckable(True)
    return made


class _WheelScrolls(QObject):
    """Leaves the wheel to what a control lies on."""

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Take a notch away from what is watched."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))


def unmoved(widget: _Widget) -> _Widget:
    """Have a wheel that scrolls the panel change no choice that comes under it."""
    scrolls = _WheelScrolls(widget)
    for part in (widget, *widget.findChildren(QWidget)):
        part.installEventFilter(scrolls)
    return widget


def narrow(box: _Box, letters: int = 8) -> _Box:
    """Let a list be narrower than its longest entry, which is read when it is open."""
    unmoved(box)
    box.setMinimumContentsLength(letters)
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    return box


def plain_numbers() -> QLocale:
    """Numbers with a point and nothing else, whatever the computer's language."""
    locale, option = QLocale.c(), QLocale.NumberOption
    locale.setNumberOptions(option.OmitGroupSeparator | option.RejectGroupSeparator)
    return locale


class PointOrComma(QDoubleValidator):
    """Takes a comma that is typed for a point: 2,5 is never 25."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.setLocale(plain_numbers())

    def validate(self, text: str, place: int) -> Any:
        """Whether it is a number, and how it is written."""
        return super().validate(text.replace(",", "."), place)


def bring_into_view(widget: QWidget) -> None:
    """Have what has just come scrolled into view, once there is room made for it."""

    def scroll() -> None:
        area: Any = widget.parent() if isalive(widget) else None
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parent()
        if area is not None:
            area.ensureWidgetVisible(widget)

    QTimer.singleShot(0, scroll)


# What napari's style puts around a button's text, in logical pixels.
_MARGINS = 10


class Either(QStackedWidget):
    """One of two widgets, in one place."""

    def __init__(self, first: QWidget, second: QWidget) -> None:
        super().__init__()
        self.addWidget(first)
        self.addWidget(second)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def shows_second(self) -> bool:
        """Which of them is seen."""
        return bool(self.currentIndex())

    def show_second(self, is_second: bool) -> None:
        """Show the second, or the first again; the keyboard stays with what is seen."""
        has_focus = self.currentWidget().hasFocus()
        self.setCurrentIndex(int(is_second))
        if has_focus:
            self.currentWidget().setFocus(Qt.FocusReason.OtherFocusReason)


def may_replace(parent: QWidget, named: Path, target: Path) -> bool:
    """Whether a file may be replaced that a dialog did not ask about.

    Parameters
    ----------
    parent
        Who asks.
    named, target
        What the user called it in the dialog, and what it would be called.
    """
    if named == target or not target.exists():
        return True
    answer = QMessageBox.question(
        parent, "Replace?", f"{target.name} is there already. Replace it?"
    )
    return bool(answer == QMessageBox.StandardButton.Yes)
