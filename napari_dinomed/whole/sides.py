"""Tokens of a volume at a resolution of one's choice: the paper's question of scale."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import Progress, Stage
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.features.encoding import PlaneTokens, next_missing, slices_done
from napari_dinomed.features.stack import slice_plans
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.headless import OnEvent
    from napari_dinomed.volume import Volume


def tokens_at(
    volume: Volume,
    name: str,
    side: int,
    window: str | None,
    device: str,
    on_event: OnEvent,
) -> TokenBank:
    """Complete tokens of slices along z, computed or found on disk.

    Parameters
    ----------
    volume
        The volume.
    name, window, device
        As for `prepare`.
    side
        Pixels that the shorter side of a slice is brought to.
    on_event
        Told of progress.
    """
    encoder = loaded(name, device)
    chosen = choose_window(volume, window, encoder.window)
    plan = slice_plans(volume, side, encoder.spec.stride, "one")[0]
    plane = PlaneTokens.begun(volume, chosen, plan, encoder, name, lambda _: None)
    while (block := next_missing((plane,), 0)) is not None:
        _, start, stop = block
        plane.require(start, stop)
        on_event(Progress(*slices_done((plane,)), Stage.SLICES))
    return plane.bank


@lru_cache(maxsize=1)
def loaded(name: str, device: str) -> Encoder:
    """An encoder, whose weights are read once for all volumes; errors as `make_encoder`."""
    return make_encoder(name, device, lambda _: None)
