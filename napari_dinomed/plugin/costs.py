"""What happens and what features will take, in words for the panel and its tool tips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.amounts import duration, size
from napari_dinomed.session.activity import Phase

if TYPE_CHECKING:
    from napari_dinomed.engine.messages import Estimated
    from napari_dinomed.session.activity import Activity


def in_short(found: Estimated) -> str:
    """One line."""
    if not found.slices:
        return f"Features are on disk already · {found.device}"
    warning = "!" if found.memory > found.free_memory else ""
    return (
        f"Features first: about {duration(found.seconds)}, {size(found.memory)} of "
        f"memory{warning}, {size(found.disk)} on disk"
    )


def in_full(found: Estimated) -> str:
    """What is known, sentence by sentence."""
    said = [
        f"{found.slices:,} slices are to be computed on {found.device}, in about "
        f"{duration(found.seconds)} as a few that were timed now.",
        f"Features and labels take {size(found.memory)} of memory, of which "
        f"{size(found.free_memory)} are free.",
        f"On disk they take {size(found.disk)}; {size(found.free_disk)} are free.",
    ]
    if found.memory > found.free_memory:
        said.append("Close other programs, or open a coarser level or a part.")
    return "\n".join(said)


def doing(activity: Activity, waits: bool, is_asked: bool) -> str:
    """What happens now.

    Parameters
    ----------
    activity
        Of a session.
    waits, is_asked
        Whether a click waits, and whether a model is at work or waits to be.
    """
    if activity.phase is Phase.ENCODING:
        return "Computing features; clicks wait for them"
    if activity.phase is Phase.ANSWERING and is_asked:
        return "The model is at work; clicks wait for it"
    if activity.phase is Phase.ANSWERING:
        return "Answering your last click"
    if waits:
        return "A click waits: compute features"
    if activity.phase is Phase.READY:
        return f"Features ready · {activity.where}"
    return "Click to begin"
