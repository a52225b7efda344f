"""An engine for clients elsewhere: it opens nothing but its own cache and weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import (
    CloseVolume,
    Described,
    EncoderInfo,
    EncodeVolume,
    FetchWeights,
    Kept,
    Lacking,
    OpenSent,
    OpenSource,
    Prepare,
    ProposeLabels,
    SendPiece,
    TeachModel,
)
from napari_dinomed.engine.sent import SentVolume
from napari_dinomed.errors import EngineError
from napari_dinomed.features.catalog import CATALOG
from napari_dinomed.features.weights import is_present, locate_weights
from napari_dinomed.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import Event, Request, Result, Sending

    Steps = Iterator[Event | Result | None]


class GuestEngine:
    """Carries out the requests of a client that has no files here.

    Parameters
    ----------
    engine
        What does the work.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sent: dict[str, SentVolume] = {}

    def handle(self, request: Request | Sending) -> Steps:
        """Carry out a request; as `Engine.handle`, but for what names a file."""
        if isinstance(request, OpenSent):
            return self._open(request)
        if isinstance(request, SendPiece):
            return self._keep(request)
        if isinstance(request, CloseVolume):
            self._sent.pop(request.volume, None)
        return self._own(request)

    def _own(self, request: Request) -> Steps:
        _require_own(request)
        for found in self._engine.handle(request):
            yield _with_own_files(found) if isinstance(found, Described) else found

    def _open(self, request: OpenSent) -> Steps:
        sent = self._sent.get(request.volume)
        if sent is None or not sent.is_of(request):
            sent = self._sent[request.volume] = SentVolume(request)
        if not sent.lacking():
            for opening in sent.assembled():
                yield None
                if opening is not None:
                    del self._sent[request.volume]
                    yield from self._engine.handle(opening)
                    return
        yield Lacking(sent.lacking())

    def _keep(self, request: SendPiece) -> Steps:
        sent = self._sent.get(request.volume)
        if sent is None:
            raise EngineError("A piece came of a volume that was not announced.")
        sent.keep(request.index, request.data)
        yield Kept()


def _with_own_files(described: Described) -> Described:
    """Weights that were added here as files are offered beside those with a name."""
    own = (name for name in load_settings().weight_files if is_present(name))
    infos = (_info(name) for name in own)
    return replace(described, encoders=(*described.encoders, *infos))


def _info(name: str) -> EncoderInfo:
    spec = locate_weights(name)[1]
    return EncoderInfo(name, spec.title, 0, 0.0, spec.licence, True, None)


def _require_own(request: Request) -> None:
    """Raise `EngineError` where a request names a file, wherever that may lie."""
    what = ""
    if isinstance(request, OpenSource):
        what = "volumes"
    elif isinstance(request, ProposeLabels | TeachModel):
        what = "taught models"
    elif isinstance(request, EncodeVolume | Prepare | FetchWeights):
        is_own = request.encoder in (*CATALOG, *load_settings().weight_files)
        what = "" if is_own else "weights and adapters from files"
    if what:
        raise EngineError(
            "An engine on another machine opens nothing but its own cache and weights: "
            f"{what} of yours need the engine of your own machine."
        )
