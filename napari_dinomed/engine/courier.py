"""Bringing volumes to an engine elsewhere, piece by piece; other messages go past them.

A volume is announced by the names of its pieces. The engine says which it lacks, those are
sent, a few at a time so that a click is not kept waiting behind them, and it is announced
again. What is said of a volume meanwhile waits until it is there.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import (
    Cancel,
    CloseVolume,
    Envelope,
    Event,
    Failed,
    Lacking,
    OpenSent,
    OpenSource,
    OpenVolume,
    Progress,
    SendPiece,
    Stage,
    Withdrawn,
)
from napari_dinomed.engine.pieces import Pieces
from napari_dinomed.errors import DinomedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.engine.messages import Message

# While some are acknowledged others are on the link, which is then hardly idle: half a
# megabyte, packed, is what 20 Mbit/s carry in 0.2 s, and 100 Mbit/s in 0.04 s.
_UNDER_WAY = 4
# An engine that lacks what it was sent so often cannot keep it.
_MOST_ROUNDS = 3


@dataclass(eq=False)
class _Parcel:
    """A volume on its way.

    Parameters
    ----------
    number, volume
        Of the request to open it, and what it is called.
    announced
        Its pieces, and what announces them; None while they are being looked at.
    left, under_way, rounds
        Pieces to be sent yet, those not acknowledged yet, and how often it was announced.
    held
        What waits until it is there.
    """

    number: int
    volume: str
    announced: tuple[Pieces, OpenSent] | None = None
    left: deque[int] = field(default_factory=deque)
    under_way: set[int] = field(default_factory=set)
    rounds: int = 0
    held: list[Envelope] = field(default_factory=list)


class Courier:
    """Brings messages to an engine elsewhere.

    Parameters
    ----------
    post
        Sends one; returns at once.
    tell
        Given a reply that no engine sent, on a thread of the courier's own.
    """

    def __init__(
        self, post: Callable[[Envelope], None], tell: Callable[[Envelope], None]
    ) -> None:
        self._post, self._tell = post, tell
        self._lock = threading.RLock()
        self._parcels: dict[str, _Parcel] = {}
        # Below zero: these are nobody's requests but the courier's.
        self._numbers = itertools.count(-1, -1)

    def post(self, envelope: Envelope) -> None:
        """Send a message, or keep it until what it is about is there; returns at once."""
        message = envelope.message
        with self._lock:
            if isinstance(message, OpenVolume | OpenSource):
                self._begin(envelope.request, message)
                return
            if isinstance(message, Cancel) and self._withdraw(envelope.request):
                return
            if isinstance(message, CloseVolume):
                self._drop(message.volume)
            parcel = self._parcels.get(getattr(message, "volume", ""))
            if parcel is not None:
                parcel.held.append(envelope)
            else:
                self._post(envelope)

    def hear(self, envelope: Envelope) -> Envelope | None:
        """What the client should hear of a reply."""
        number, message = envelope.request, envelope.message
        with self._lock:
            parcel = self._parcel_of(number)
            if isinstance(message, Lacking):
                return self._send_lacking(parcel, number, message)
            if parcel is None:
                return envelope if number >= 0 else None
            if isinstance(message, Event):
                return Envelope(parcel.number, message)
            if number < 0 and not isinstance(message, Failed | Withdrawn):
                parcel.under_way.discard(number)
                return self._go_on(parcel)
            self._release(parcel)
            return Envelope(parcel.number, message)

    def _parcel_of(self, number: int) -> _Parcel | None:
        """The parcel whose opening, or one of whose pieces, has a number."""
        for parcel in self._parcels.values():
            if number == parcel.number or number in parcel.under_way:
                return parcel
        return None

    # Announcing

    def _begin(self, number: int, request: OpenVolume | OpenSource) -> None:
        self._drop(request.volume)
        parcel = self._parcels[request.volume] = _Parcel(number, request.volume)
        # To name the pieces takes a while, and a lazy volume is read for that.
        work = threading.Thread(target=self._announce, args=(parcel, request), daemon=True)
        work.start()

    def _announce(self, parcel: _Parcel, request: OpenVolume | OpenSource) -> None:
        reply: Message = Withdrawn()
        try:
            announced = _looked_at(request)
        except DinomedError as error:
            reply = Failed(type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear
            kind = type(error).__name__
            reply = Failed(kind, f"Unexpected {kind}: {error}")
        else:
            with self._lock:
                if self._parcels.get(parcel.volume) is parcel:
                    parcel.announced = announced
                    self._post(Envelope(parcel.number, announced[1]))
                    return
        with self._lock:
            if self._parcels.get(parcel.volume) is parcel:
                self._release(parcel)
        self._tell(Envelope(parcel.number, reply))

    # Sending

    def _send_lacking(
        self, parcel: _Parcel | None, number: int, lacking: Lacking
    ) -> Envelope:
        if parcel is None or parcel.announced is None:
            # It was announced again only to have this asked no more.
            return Envelope(number, Withdrawn())
        parcel.rounds += 1
        count = len(parcel.announced[0].names)
        if parcel.rounds > _MOST_ROUNDS or not set(lacking.pieces) <= set(range(count)):
            self._release(parcel)
            text = "The engine cannot keep the voxels that it is sent."
            return Envelope(number, Failed("EngineError", text))
        parcel.left.extend(lacking.pieces)
        return self._go_on(parcel)

    def _go_on(self, parcel: _Parcel) -> Envelope:
        """Send what may be under way; how far it is."""
        assert parcel.announced is not None
        pieces, announcement = parcel.announced
        while parcel.left and len(parcel.under_way) < _UNDER_WAY:
            index, number = parcel.left.popleft(), next(self._numbers)
            parcel.under_way.add(number)
            piece = SendPiece(parcel.volume, index, pieces.packed(index))
            self._post(Envelope(number, piece))
        left = len(parcel.left) + len(parcel.under_way)
        if not left:
            self._post(Envelope(parcel.number, announcement))
        total = len(pieces.names)
        return Envelope(parcel.number, Progress(total - left, total, Stage.SENDING))

    # Ending

    def _release(self, parcel: _Parcel) -> None:
        """Send what waited for it."""
        del self._parcels[parcel.volume]
        for envelope in parcel.held:
            self._post(envelope)

    def _drop(self, volume: str) -> None:
        """Nobody needs a volume any more; who asked for it is answered by its engine."""
        parcel = self._parcels.get(volume)
        if parcel is None:
            return
        self._release(parcel)
        if parcel.announced is not None:
            self._post(Envelope(parcel.number, parcel.announced[1]))

    def _withdraw(self, number: int) -> bool:
        """Forget a message that waits; whether there was one."""
        for parcel in list(self._parcels.values()):
            if parcel.number == number:
                self._drop(parcel.volume)
                return True
            kept = [one for one in parcel.held if one.request != number]
            if len(kept) < len(parcel.held):
                parcel.held = kept
                return True
        return False


def _looked_at(request: OpenVolume | OpenSource) -> tuple[Pieces, OpenSent]:
    """A volume's pieces, and what announces them."""
    if isinstance(request, OpenVolume):
        images = [request.voxels, *request.others]
        geometry, modality = request.geometry, request.modality
    else:
        from napari_dinomed.io import read_volume

        volume = read_volume(request.source, request.pick)
        images, geometry, modality = [volume.array], volume.geometry, volume.modality
    pieces = Pieces(images)
    sent = OpenSent(request.volume, pieces.layout, pieces.names, geometry, modality)
    return pieces, sent
