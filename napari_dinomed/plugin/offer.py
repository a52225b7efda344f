"""The offer to fetch weights: how large, on what terms, what for; or how without net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox

from napari_dinomed.amounts import size
from napari_dinomed.features.catalog import CATALOG, LICENCE_NOTICES
from napari_dinomed.features.weights import by_hand, is_offline
from napari_dinomed.settings import data_folder, load_settings, save_settings

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_dinomed.engine.messages import EncoderInfo

DINO = "dinov3"
SMALLEST = "dinov3-s"
_BYTES_PER_WEIGHT = 4
_BRINGS = (
    "What they bring: features that were learnt from 1.7 billion pictures. Whether they "
    "are better on your volume, Compare… measures on labels of your own."
)


def may_fetch(parent: QWidget, info: EncoderInfo) -> bool:
    """Ask whether weights are to be fetched; a licence that is agreed to is remembered."""
    if is_offline():
        QMessageBox.information(
            parent,
            f"{info.title}, offline",
            f"This machine works offline. {how_by_hand(info)}",
        )
        return False
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    title, text = f"Fetch {info.title}?", offer_of(info)
    # A key that was meant for something else accepts no licence.
    if QMessageBox.question(parent, title, text, yes | no, no) != yes:
        return False
    if info.licence_to_accept:
        save_settings(load_settings().accepting(info.licence_to_accept))
    return True


def offer_of(info: EncoderInfo) -> str:
    """What is fetched, from where, how large it is, and under what terms."""
    parts = [
        f"{info.title}: about {size(weight_bytes(info))} once, from huggingface.co, to "
        f"{data_folder() / 'weights'}. Nothing of your images is sent.",
        _BRINGS if info.name.startswith(DINO) else "",
        LICENCE_NOTICES.get(info.licence, f"Licence: {info.licence}"),
        "Do you accept this licence, and fetch them?"
        if info.licence_to_accept
        else "Fetch them?",
    ]
    return "\n\n".join(filter(None, parts))


def how_by_hand(info: EncoderInfo) -> str:
    """How weights come to a machine without internet."""
    return by_hand(CATALOG[info.name])


def weight_bytes(info: EncoderInfo) -> float:
    """Of the file of weights, single precision."""
    return info.parameters * 1e6 * _BYTES_PER_WEIGHT
