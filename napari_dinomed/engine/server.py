"""The engine process: reads requests from standard input, answers on standard output.

Jobs are generators stepped one at a time, the most urgent first, so that a click is
answered in the middle of encoding a volume without any lock on the model.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from napari_dinomed import __version__, errors
from napari_dinomed.engine.ending import end_soon
from napari_dinomed.engine.messages import (
    AdaptEncoder,
    Begun,
    Cancel,
    EncodeVolume,
    Envelope,
    EstimateEncoding,
    Failed,
    FetchWeights,
    Hello,
    JudgeEncoding,
    Ping,
    Pong,
    Prepare,
    ReadProbability,
    SegmentVolume,
    Withdrawn,
)
from napari_dinomed.engine.wire import receive, send
from napari_dinomed.offline import forbid_network_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.engine.messages import Event, Message, Reply, Request, Result

    Steps = Iterator[Event | Result | None]

_log = logging.getLogger(__name__)

# A client elsewhere asks for a sign of life every second; where a link is cut without a
# word, a device is kept for nobody so long.
_SECONDS_OF_SILENCE = 60.0
# Kernels of oneDNN, made for one shape of a box each, that are kept; its own 1,024 take
# 30 MB more in a thousand clicks. A click needs some fifty: with 16, each made them anew.
_KERNELS_KEPT = 64


class Handles(Protocol):
    """What carries out requests: an engine, for whomever."""

    def handle(self, request: Any) -> Steps:
        """As `Engine.handle`."""


# What nobody holds still for.
_UNHURRIED = (FetchWeights, Prepare, EstimateEncoding, JudgeEncoding)


@dataclass(eq=False)
class Job:
    """A request that is being carried out."""

    number: int
    request: Request
    steps: Steps
    has_begun: bool = False

    @property
    def urgency(self) -> int:
        """Lower goes first: what takes no time, labels, looks at them, features, the rest.

        Features must have begun before labels can be asked of them. What nobody waits for
        comes after all that, and what takes minutes last.
        """
        if isinstance(self.request, SegmentVolume):
            return 1
        if isinstance(self.request, ReadProbability):
            return 2
        if isinstance(self.request, EncodeVolume):
            return 3 if self.has_begun and not self.request.urgent else 0
        if isinstance(self.request, AdaptEncoder):
            return 5
        return 4 if isinstance(self.request, _UNHURRIED) else 0


class Server:
    """Carries out the requests of one client.

    Parameters
    ----------
    make_engine
        Makes what does the work; the client is listened to meanwhile.
    inbox, outbox
        Binary streams from and to the client.
    left
        Called when the client has closed the stream, whatever is computed then.
    is_far
        Whether the client is on another machine: arrays are packed for the link, and a
        client that falls silent has left.
    """

    def __init__(
        self,
        make_engine: Callable[[], Handles],
        inbox: BinaryIO,
        outbox: BinaryIO,
        left: Callable[[], None] = lambda: None,
        is_far: bool = False,
    ) -> None:
        self._make_engine = make_engine
        self._inbox = inbox
        self._outbox = outbox
        self._left = left
        self._is_far = is_far
        self._heard = time.monotonic()
        self._arrived: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        self._jobs: list[Job] = []
        self._sending = threading.Lock()
        self._step_began: float | None = None

    def run(self) -> None:
        """Serve until the client closes the stream."""
        threading.Thread(target=self._listen, daemon=True).start()
        if self._is_far:
            threading.Thread(target=self._notice_silence, daemon=True).start()
        self._reply(0, Hello(__version__, sys.version.split()[0]))
        engine = self._make_engine()
        while True:
            envelope = self._next_arrival()
            if envelope is not None:
                self._accept(envelope, engine)
            elif self._jobs:
                self._step(min(self._jobs, key=lambda job: job.urgency))
            else:
                return

    def _listen(self) -> None:
        try:
            while (envelope := receive(self._inbox)) is not None:
                self._heard = time.monotonic()
                if isinstance(envelope.message, Ping):
                    self._reply(0, Pong(self._seconds_at_step()))
                else:
                    self._arrived.put(envelope)
        except errors.EngineError as error:
            _log.error("%s", error)
        except OSError:
            _log.warning("the client went away")
        finally:
            self._arrived.put(None)
            self._left()

    def _notice_silence(self) -> None:
        while (silence := time.monotonic() - self._heard) < _SECONDS_OF_SILENCE:
            time.sleep(_SECONDS_OF_SILENCE - silence)
        _log.warning("the client has been silent for %.0f s", silence)
        self._left()

    def _seconds_at_step(self) -> float:
        began = self._step_began
        return time.monotonic() - began if began is not None else 0.0

    def _next_arrival(self) -> Envelope | None:
        """What the client said next; None where there is a job to go on with instead."""
        try:
            envelope = self._arrived.get(block=not self._jobs)
        except queue.Empty:
            return None
        if envelope is None:
            self._jobs.clear()
        return envelope

    def _accept(self, envelope: Envelope, engine: Handles) -> None:
        message = envelope.message
        if isinstance(message, Cancel):
            self._withdraw([job for job in self._jobs if job.number == envelope.request])
            return
        self._withdraw([job for job in self._jobs if _replaces(message, job.request)])
        steps = engine.handle(message)
        self._jobs.append(Job(envelope.request, message, steps))  # type: ignore[arg-type]

    def _step(self, job: Job) -> None:
        self._step_began = time.monotonic()
        try:
            event = next(job.steps)
        except StopIteration:
            self._jobs.remove(job)
        except errors.Cancelled:
            self._finish(job, Withdrawn())
        except errors.DinomedError as error:
            self._finish(job, Failed(type(error).__name__, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear
            _log.exception("request %s failed", type(job.request).__name__)
            kind = type(error).__name__
            self._finish(job, Failed(kind, f"Unexpected {kind}: {error}"))
        else:
            job.has_begun |= isinstance(event, Begun)
            if event is not None:
                self._reply(job.number, event)
        finally:
            self._step_began = None

    def _withdraw(self, jobs: list[Job]) -> None:
        for job in jobs:
            job.steps.close()  # type: ignore[attr-defined]
            self._finish(job, Withdrawn())

    def _finish(self, job: Job, reply: Reply) -> None:
        self._jobs.remove(job)
        self._reply(job.number, reply)

    def _reply(self, number: int, reply: Reply) -> None:
        with self._sending:
            send(self._outbox, Envelope(number, reply), packs=self._is_far)


def _replaces(new: Message, old: Request) -> bool:
    """Newer features, or newer answers to the same labels, make older requests stale."""
    if isinstance(new, EncodeVolume):
        return isinstance(old, EncodeVolume) and new.volume == old.volume
    if not (isinstance(new, SegmentVolume) and isinstance(old, SegmentVolume)):
        return False
    is_of_other_features = new.encoding != old.encoding
    is_all_there = bool(old.wanted) and set(old.wanted) <= set(new.wanted)
    is_stale = not new.wanted or is_all_there or is_of_other_features
    return new.volume == old.volume and is_stale


def _make_engine() -> Handles:
    """An engine; its libraries take seconds to read."""
    from napari_dinomed.engine.engine import Engine

    return Engine()


def _make_guest_engine() -> Handles:
    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.guests import GuestEngine

    return GuestEngine(Engine())


def main(is_far: bool = False) -> None:
    """Serve on standard input and output, which nothing else may then touch.

    Parameters
    ----------
    is_far
        Whether to serve a client that is, or may be, on another machine.
    """
    # Libraries print; whatever they print goes to standard error instead.
    outbox = os.fdopen(os.dup(1), "wb")
    inbox = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    forbid_network_if_asked()
    # Before torch is read.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS_KEPT))
    make = _make_guest_engine if is_far else _make_engine
    try:
        Server(make, inbox, outbox, end_soon, is_far).run()
    except BrokenPipeError:
        _log.warning("the client went away")
