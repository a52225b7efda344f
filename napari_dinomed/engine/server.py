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
from typing import TYPE_CHECKING, BinaryIO

from napari_dinomed import __version__, errors
from napari_dinomed.engine.ending import end_soon
from napari_dinomed.engine.messages import (
    AdaptEncoder,
    Begun,
    Cancel,
    EncodeVolume,
    Envelope,
    Failed,
    FetchWeights,
    Hello,
    Ping,
    Pong,
    Prepare,
    SegmentVolume,
    Withdrawn,
)
from napari_dinomed.engine.wire import receive, send
from napari_dinomed.offline import forbid_network_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.engine.engine import Engine
    from napari_dinomed.engine.messages import Event, Message, Reply, Request, Result

    Steps = Iterator[Event | Result | None]

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """A request that is being carried out."""

    number: int
    request: Request
    steps: Steps
    has_begun: bool = False

    @property
    def urgency(self) -> int:
        """Lower goes first: what takes no time, labels, features, what nobody waits for.

        Features must have begun before labels can be asked of them. What takes minutes
        comes last.
        """
        if isinstance(self.request, SegmentVolume):
            return 1
        if isinstance(self.request, EncodeVolume):
            return 2 if self.has_begun and not self.request.urgent else 0
        if isinstance(self.request, AdaptEncoder):
            return 4
        return 3 if isinstance(self.request, FetchWeights | Prepare) else 0


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
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        inbox: BinaryIO,
        outbox: BinaryIO,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._make_engine = make_engine
        self._inbox = inbox
        self._outbox = outbox
        self._left = left
        self._arrived: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        self._jobs: list[Job] = []
        self._sending = threading.Lock()
        self._step_began: float | None = None

    def run(self) -> None:
        """Serve until the client closes the stream."""
        threading.Thread(target=self._listen, daemon=True).start()
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

    def _accept(self, envelope: Envelope, engine: Engine) -> None:
        message = envelope.message
        if isinstance(message, Cancel):
            self._withdraw([job for job in self._jobs if job.number == envelope.request])
            return
        self._withdraw([job for job in self._jobs if _replaces(message, job.request)])
        steps = engine.handle(message)  # type: ignore[arg-type]
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
            send(self._outbox, Envelope(number, reply))


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


def _make_engine() -> Engine:
    """An engine; its libraries take seconds to read."""
    from napari_dinomed.engine.engine import Engine

    return Engine()


def main() -> None:
    """Serve on standard input and output, which nothing else may then touch."""
    # Libraries print; whatever they print goes to standard error instead.
    outbox = os.fdopen(os.dup(1), "wb")
    inbox = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    forbid_network_if_asked()
    try:
        Server(_make_engine, inbox, outbox, end_soon).run()
    except BrokenPipeError:
        _log.warning("the client went away")
