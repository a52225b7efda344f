"""The whole job without a window: volume and prompts in, labels out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from napari_dinomed.annotation.readout import Readout
from napari_dinomed.engine.messages import (
    CloseVolume,
    Encoded,
    EncodeVolume,
    Proposed,
    ProposeLabels,
    Segmented,
    SegmentVolume,
    SuggestClick,
    Suggested,
    open_request,
)
from napari_dinomed.errors import EngineError
from napari_dinomed.volume import Volume, choose_window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.annotation.prompts import Prompts, Voxel
    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import Event, Request
    from napari_dinomed.features.tokens import TokenBank
    from napari_dinomed.taught.teach import Seen
    from napari_dinomed.volume import Planes, Window

    OnEvent = Callable[[Event], None]

VOLUME = "volume"
"""The name that an engine has the volume of a job under."""


class Runs(Protocol):
    """An engine in this process, or the client of one that is not."""

    def run(self, request: Request, on_event: OnEvent | None = None) -> Any:
        """Carry out a request to its end and return its result."""


@dataclass(frozen=True, eq=False)
class Job:
    """A volume whose features are there, ready for any number of prompts."""

    engine: Runs
    volume: Volume
    window: Window
    encoded: Encoded

    @property
    def banks(self) -> tuple[TokenBank, ...]:
        """The features, those of slices along z first."""
        return self._here.banks(VOLUME)

    @property
    def seen(self) -> Seen:
        """How a taught model sees the volume."""
        return self._here.seen(VOLUME)

    @property
    def _here(self) -> Engine:
        from napari_dinomed.engine.engine import Engine

        if not isinstance(self.engine, Engine):
            raise EngineError("Features stay where they are computed: on another machine.")
        return self.engine

    def close(self) -> None:
        """Forget the volume and its features; those on disk stay."""
        self.engine.run(CloseVolume(VOLUME))

    def propose(self, model: Path) -> Proposed:
        """What a taught model finds; errors as `Header.require_sight`."""
        proposed: Proposed = self.engine.run(ProposeLabels(VOLUME, str(model)))
        return proposed

    def suggest(
        self, labels: tuple[Label, ...], prompts: Prompts, head: str = Readout.AUTO
    ) -> Voxel | None:
        """Where a click on the only label would tell most; errors as `make_segmenter`."""
        request = SegmentVolume(VOLUME, prompts, labels, head, preview=False)
        suggested: Suggested = self.engine.run(SuggestClick(VOLUME, request))
        return suggested.voxel

    def segment(
        self,
        labels: tuple[Label, ...],
        prompts: Prompts,
        head: str = Readout.AUTO,
        threshold: float = 0.5,
        starts: Mapping[int, Mask] | None = None,
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Labels (z, y, x) of the whole volume; errors as `make_segmenter`."""
        request = SegmentVolume(
            VOLUME,
            prompts,
            labels,
            head,
            threshold,
            preview=False,
            starts=starts or {},
        )
        segmented: Segmented = self.engine.run(request)
        return segmented.paste(self.volume.array.shape)


def prepare(
    volume: Volume,
    encoder: str,
    window: str | None = None,
    device: str = "auto",
    on_event: OnEvent | None = None,
    planes: Planes = "auto",
    engine: Runs | None = None,
) -> Job:
    """Compute a volume's features, or find them on disk.

    Parameters
    ----------
    volume
        The volume.
    encoder
        Name of an encoder.
    window
        Name of a window; the volume's own if None.
    device
        Where to compute.
    on_event
        Told of progress and notices.
    planes
        Slices along one axis or all three.
    engine
        Who has opened other volumes before, and so holds the encoder's weights; or who
        computes elsewhere. It opens one at a time. A new one in this process if None.

    Raises
    ------
    DinomedError
        Where the volume has no content, or the encoder cannot be had.
    """
    engine = engine or _engine_here()
    engine.run(open_request(VOLUME, volume), on_event)
    chosen = choose_window(volume, window)
    request = EncodeVolume(VOLUME, encoder, chosen, device=device, planes=planes)
    return Job(engine, volume, chosen, engine.run(request, on_event))


def _engine_here() -> Engine:
    """An engine in this process; its libraries take seconds to read."""
    from napari_dinomed.engine.engine import Engine

    return Engine()
