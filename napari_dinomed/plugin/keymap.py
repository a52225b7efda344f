"""Keys as data: one table for binding, tool tips and the list of keys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a key can do."""

    TOGGLE = "toggle"
    UNDO = "undo"
    REDO = "redo"
    SUGGEST = "suggest"
    NEW_LABEL = "new-label"
    DONE = "done"
    HIDE = "hide"
    OUTLINE = "outline"
    PROBABILITY = "probability"
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    SOLID = "solid"
    FOUR = "four"
    WINDOW = "window"
    ACCEPT = "accept"
    REJECT = "reject"
    CANCEL = "cancel"
    HELP = "help"


@dataclass(frozen=True)
class Key:
    """A key in napari's notation, and what it says in a tool tip.

    Parameters
    ----------
    keys
        As napari writes them.
    shown
        As users do.
    does
        What it does.
    is_everywhere
        Whether it works on any layer, not only on those of a document. napari has no use
        for such a key on any of its layers.
    """

    keys: tuple[str, ...]
    shown: str
    does: str
    is_everywhere: bool = False


KEYMAP: dict[Action, Key] = {
    Action.TOGGLE: Key(("T",), "T", "switch between include and exclude"),
    Action.UNDO: Key(("Control-Z",), "Ctrl+Z", "take back the last step"),
    Action.REDO: Key(("Control-Shift-Z",), "Ctrl+Shift+Z", "make it again"),
    Action.SUGGEST: Key(("Q",), "Q", "go to where the answer is in doubt, and mark it"),
    Action.NEW_LABEL: Key(("N",), "N", "begin a new label"),
    Action.DONE: Key(("Enter",), "Enter", "lock the label as it is, or open it again"),
    Action.HIDE: Key(("H",), "H", "show or hide the segmentation"),
    Action.OUTLINE: Key(("O",), "O", "outline or fill the segmentation"),
    Action.AXIAL: Key(("F5",), "F5", "show axial slices", True),
    Action.CORONAL: Key(("F6",), "F6", "show coronal slices", True),
    Action.SAGITTAL: Key(("F7",), "F7", "show sagittal slices", True),
    Action.SOLID: Key(("F8",), "F8", "show labels in 3-D, with the slice among them", True),
    Action.FOUR: Key(
        ("F9",), "F9", "show three planes and 3-D at once, or one view again", True
    ),
    Action.PROBABILITY: Key(
        ("U",), "U", "show how probable the label in use is in the plane in view", True
    ),
    Action.WINDOW: Key(("W",), "W", "show the next window of grey values", True),
    Action.ACCEPT: Key(("F10",), "F10", "accept the case under review", True),
    Action.REJECT: Key(("F12",), "F12", "reject the case under review", True),
    Action.CANCEL: Key(
        ("Escape",),
        "Esc",
        "give up what is computed, or a preview; not with a brush in hand",
        True,
    ),
    Action.HELP: Key(("F1",), "F1", "list the keys, and what each control does", True),
}
LABEL_KEYS = tuple("123456789")
MOUSE = {
    "Press and drag a click": "move it; Delete removes it",
    "Click in 3-D": "go to that place on the label",
    "Wheel": "go through the slices",
    "Shift+wheel": "zoom",
    "Ctrl+right drag": "change the window, across its width, up and down its level; "
    "not with a brush in hand",
}
"""What the mouse does on the canvas beside making clicks, on the four layers."""
