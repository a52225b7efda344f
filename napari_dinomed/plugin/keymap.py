"""Keys as data: one table for binding, tooltips and the manual."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a key can do on the layers of a document."""

    TOGGLE = "toggle"
    UNDO = "undo"
    REDO = "redo"
    NEW_LABEL = "new-label"
    DONE = "done"
    HIDE = "hide"


@dataclass(frozen=True)
class Key:
    """A key in napari's notation, and what it says in a tooltip."""

    keys: tuple[str, ...]
    shown: str
    does: str


KEYMAP: dict[Action, Key] = {
    Action.TOGGLE: Key(("T",), "T", "switch between include and exclude"),
    Action.UNDO: Key(("Control-Z",), "Ctrl+Z", "take back the last step"),
    Action.REDO: Key(("Control-Shift-Z",), "Ctrl+Shift+Z", "make it again"),
    Action.NEW_LABEL: Key(("N",), "N", "begin a new label"),
    Action.DONE: Key(("Enter",), "Enter", "lock the label as it is, or open it again"),
    Action.HIDE: Key(("H",), "H", "show or hide the segmentation"),
}
LABEL_KEYS = tuple("123456789")
