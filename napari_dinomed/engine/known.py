"""What a new engine has to be told when the last one died: its volumes, their features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import (
    CloseVolume,
    EncodeVolume,
    Failed,
    OpenSource,
    OpenVolume,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinomed.engine.messages import Reply, Request

# Of chance a volume is there at one death; at two it is likely to be the reason.
_MOST_DEATHS = 2


@dataclass(frozen=True, eq=False)
class _Kept:
    """A volume that is open, and the engines that died of opening it again."""

    opening: OpenVolume | OpenSource
    encoding: EncodeVolume | None = None
    deaths: int = 0


class Known:
    """Volumes that are open, and their encodings, by the requests that made them."""

    def __init__(self) -> None:
        self._volumes: dict[str, _Kept] = {}

    def __bool__(self) -> bool:
        return bool(self._volumes)

    @property
    def encoder(self) -> str:
        """Who encoded a volume; empty where none is encoded."""
        encodings = (kept.encoding for kept in self._volumes.values())
        return next((one.encoder for one in encodings if one is not None), "")

    def learn(self, request: Request, reply: Reply) -> None:
        """Take note of what an engine has done."""
        if isinstance(reply, Failed | Withdrawn):
            return
        if isinstance(request, OpenVolume | OpenSource):
            kept = self._volumes.get(request.volume)
            if kept is None or kept.opening is not request or kept.encoding is None:
                self._volumes[request.volume] = _Kept(request)
        elif isinstance(request, EncodeVolume) and request.volume in self._volumes:
            kept = self._volumes[request.volume]
            self._volumes[request.volume] = replace(kept, encoding=request, deaths=0)

    def forget(self, request: CloseVolume) -> None:
        """Have a volume closed: nobody needs it in a new engine."""
        self._volumes.pop(request.volume, None)

    def blame(self, request: Request) -> None:
        """An engine died while it was told this again; a second time, it is not told."""
        if not isinstance(request, OpenVolume | OpenSource | EncodeVolume):
            return
        kept = self._volumes.get(request.volume)
        if kept is not None and kept.deaths + 1 < _MOST_DEATHS:
            self._volumes[request.volume] = replace(kept, deaths=kept.deaths + 1)
        elif kept is not None:
            del self._volumes[request.volume]

    def to_tell(self, asked: Sequence[Request]) -> list[Request]:
        """Requests that make a new engine know what the last one knew.

        Parameters
        ----------
        asked
            What it will be asked then. Volumes that this is about come first, and
            nothing that it would replace is done.
        """
        opened = {r.volume for r in asked if isinstance(r, OpenVolume | OpenSource)}
        encoded = {r.volume for r in asked if isinstance(r, EncodeVolume)}
        wanted = {getattr(request, "volume", None) for request in asked}
        told: list[Request] = []
        for name in sorted(self._volumes, key=lambda name: name not in wanted):
            kept = self._volumes[name]
            if name in opened:
                continue
            told.append(kept.opening)
            if kept.encoding is not None and name not in encoded:
                told.append(replace(kept.encoding, urgent=name in wanted))
        return told
