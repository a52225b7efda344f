"""Keys as data: one table for binding, tooltips and the manual."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a key can do on the prompt layers."""

    TOGGLE = "toggle"
    UNDO = "undo"
    REDO = "redo"
    NEW_LABEL = "new-label"
    ACCEPT = "accept"
    HIDE = "hide"


@dataclass(frozen=True)
class Key:
    """A key in napari's notation, and what it says in a tooltip."""

    keys: tuple[str, ...]
    shown: str
    does: str


KEYMAP: dict[Action, Key] = {
    Action.TOGGLE: Key(("T",), "T", "switch between include and exclude"),
    Action.UNDO: Key(("Control-Z",), "Ctrl+Z", "take back the last prompt"),
    Action.REDO: Key(("Control-Shift-Z",), "Ctrl+Shift+Z", "put it back"),
    Action.NEW_LABEL: Key(("N",), "N", "begin a new label"),
    Action.ACCEPT: Key(("Enter",), "Enter", "accept the preview into the labels layer"),
    Action.HIDE: Key(("H",), "H", "show or hide the preview"),
}
LABEL_KEYS = tuple("123456789")
