"""An encoder that looks at one volume after another, at a resolution of one's choice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import Notice, Progress, Stage
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.features.encoding import (
    PlaneTokens,
    next_missing,
    plans_for,
    slices_done,
)
from napari_dinomed.features.stack import slice_plans
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.features.stack import SlicePlan
    from napari_dinomed.headless import OnEvent
    from napari_dinomed.volume import Volume


@dataclass(frozen=True, eq=False)
class Eye:
    """How volumes are looked at.

    Parameters
    ----------
    encoder, name
        Who encodes, and under what name users know it.
    window
        Name of a window; a volume's own if None.
    side
        Pixels that the shorter side of a slice is brought to; 0 for as many as is usual.
    """

    encoder: Encoder
    name: str
    window: str | None = None
    side: int = 0

    @classmethod
    def of(cls, name: str, window: str | None, device: str, on_event: OnEvent) -> Eye:
        """With weights that are read once for all volumes; errors as `make_encoder`.

        Parameters
        ----------
        name, window, device
            As for `prepare`.
        on_event
            Told of what a user should know.
        """
        on_event(Progress(0, 0, Stage.LOADING, name))
        encoder = make_encoder(name, device, lambda text: on_event(Notice(text)))
        return cls(encoder, name, window)

    def at(self, side: int) -> Eye:
        """The same at another resolution."""
        return replace(self, side=side)

    def tokens(self, volume: Volume, on_event: OnEvent) -> PlaneTokens:
        """Complete tokens of slices along z, computed or found on disk."""
        plan = self._plan(volume)
        for remark in self.encoder.remarks(volume, plan):
            on_event(Notice(remark))
        plane = PlaneTokens.begun(
            volume,
            choose_window(volume, self.window, self.encoder.window),
            plan,
            self.encoder,
            self.name,
            lambda text: on_event(Notice(text)),
        )
        while (block := next_missing((plane,), 0)) is not None:
            _, start, stop = block
            plane.require(start, stop)
            on_event(Progress(*slices_done((plane,)), Stage.SLICES))
        return plane

    def _plan(self, volume: Volume) -> SlicePlan:
        if not self.side:
            return plans_for(volume, self.encoder, "one")[0]
        return slice_plans(volume, self.side, self.encoder.spec.stride, "one")[0]
