"""Asking an engine process: futures, events, cancellation, and bringing it back to life."""

from __future__ import annotations

import itertools
import logging
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil

from napari_dinomed import errors
from napari_dinomed.engine.asked import (
    Call,
    Pending,
    died,
    fail,
    news,
    running,
    settle,
    tell,
    tell_one,
)
from napari_dinomed.engine.known import Known
from napari_dinomed.engine.messages import (
    Cancel,
    Closed,
    CloseVolume,
    Described,
    Encoded,
    Envelope,
    Event,
    Failed,
    Notice,
    Prepare,
    Progress,
    Result,
    Stage,
    Withdrawn,
)
from napari_dinomed.engine.place import HERE, Place
from napari_dinomed.engine.process import EngineProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinomed.engine.asked import OnEvent
    from napari_dinomed.engine.messages import Request

_log = logging.getLogger(__name__)

# Connections in a row that fail, each waited for longer, to 8 s: a minute in all.
_MOST_TRIES = 8
# Seconds between looks at whether the engine lives; a hang is noticed that much later.
_TICK = 1.0
# Bytes of free memory from which a spare engine, of 0.4 GB, is in nobody's way.
_ROOM_FOR_SPARE = 4e9


class EngineClient:
    """An engine process and the requests it is carrying out.

    The process is started by the first request. When it dies, another one is given the
    volumes that it had open, and their features, and is asked anew what was not answered;
    a request at which two engines died fails. One that cannot be made fails as any other
    does: by its future. Events and results are delivered on a thread of the client's own.

    An engine that hangs is told of by a `Notice`, and replaced by `recover`.

    Parameters
    ----------
    place
        Where the engine computes.
    has_spare
        Whether a second process waits, its libraries read, to take the first one's
        place; it is started in a quiet moment, where there is memory for it, and on this
        machine only.
    """

    def __init__(self, place: Place = HERE, has_spare: bool = False) -> None:
        self.place = place
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._process: EngineProcess | None = None
        self._spare: EngineProcess | None = None
        self._wants_spare = self._has_spare = has_spare
        self._device = ""
        self._has_met, self._tries = False, 0
        self._prepared = ""
        self._pending: dict[int, Pending] = {}
        self._known = Known()
        self._is_closed = False
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None
        self._told_of: EngineProcess | None = None

    def submit(self, request: Request, on_event: OnEvent | None = None) -> Call:
        """Ask; returns at once."""
        future = running()
        try:
            with self._lock:
                number = self._ask(request, future, on_event)
        except errors.DinomedError as error:
            future.set_exception(error)
            return Call(future, lambda: None)
        return Call(future, lambda: self._cancel(number))

    def run(self, request: Request, on_event: OnEvent | None = None) -> Any:
        """Ask, and wait for the result; errors as the request has it."""
        return self.submit(request, on_event).future.result()

    @property
    def round_trip(self) -> float | None:
        """Seconds to an engine elsewhere and back; None where that is not known yet."""
        process = self._process
        return process.round_trip if process is not None else None

    @property
    def where(self) -> str:
        """Where it computes, in words: the device, the host, how far away that is."""
        host, trip = self.place.name, self.round_trip
        if self.place.is_elsewhere and trip is not None:
            host = f"{host}, {trip * 1000:.0f} ms away"
        return f"{self._device} on {host}" if self._device else host

    def recover(self) -> None:
        """Replace an engine that hangs; what it was asked is asked anew."""
        process = self._process
        if process is not None and process.trouble:
            process.kill()

    def close(self) -> None:
        """Let the process end for good; what it was doing is withdrawn."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
            spare, self._spare = self._spare, None
            pending, self._pending = self._pending, {}
            watcher, self._watcher = self._watcher, None
        self._ended.set()
        if spare is not None:
            spare.kill()
        for ended in (process, spare):
            if ended is not None:
                ended.close()
        for lost in pending.values():
            fail(lost.future, errors.Cancelled("withdrawn"))
        if watcher not in (None, threading.current_thread()):
            watcher.join()

    @property
    def process_id(self) -> int | None:
        """Of the engine process, where one runs."""
        process = self._process
        return process.id if process is not None else None

    # Asking

    def _ask(self, request: Request, future: Future[Any], on_event: OnEvent | None) -> int:
        """Post a request, to a new process if need be; its number.

        Raises
        ------
        EngineError
            Where no process can be started; the next request tries again.
        Cancelled
            Where this client was closed.
        """
        if self._is_closed:
            raise errors.Cancelled("The engine was closed.")
        number = next(self._numbers)
        if isinstance(request, CloseVolume):
            self._known.forget(request)
            if self._process is None:
                future.set_result(Closed())
                return number
        process = self._process or self._begin([request])
        self._post(Pending(number, request, future, on_event, process))
        return number

    def _begin(self, asked: Sequence[Request]) -> EngineProcess:
        """A process that is told what the last one knew, before it is ``asked``."""
        process, self._spare = self._spare or self._start(), None
        self._process = process
        self._wants_spare = self._has_spare and not self.place.is_elsewhere
        for request in self._known.to_tell(asked):
            self._post(Pending(next(self._numbers), request, None, None, process))
        return process

    def _start(self) -> EngineProcess:
        process = EngineProcess(self.place, self._deliver, self._bury)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return process

    def _post(self, pending: Pending) -> None:
        self._pending[pending.number] = pending
        pending.process.post(Envelope(pending.number, pending.request))

    def _cancel(self, number: int) -> None:
        with self._lock:
            pending = self._pending.pop(number, None)
        if pending is None:
            return
        pending.process.post(Envelope(number, Cancel()))
        fail(pending.future, errors.Cancelled("withdrawn"))

    # Hearing

    def _deliver(self, process: EngineProcess, envelope: Envelope) -> None:
        message = envelope.message
        if not isinstance(message, Event | Result | Failed | Withdrawn):
            raise errors.EngineError(f"The engine sent a {type(message).__name__}.")
        with self._lock:
            pending = self._pending.get(envelope.request)
            if pending is None or pending.process is not process:
                return
            if not isinstance(message, Event):
                del self._pending[envelope.request]
                self._known.learn(pending.request, message)
                if isinstance(message, Encoded | Described):
                    self._device = message.device
                process.has_served |= pending.future is not None
        if self._told_of is process:
            self._tell_relief([pending])
        if isinstance(message, Event):
            tell(pending, message)
        elif pending.future is not None:
            settle(pending.future, message)

    def _bury(self, process: EngineProcess) -> None:
        """Have another process do what a dead one was doing."""
        refusal = self._let_go(process)
        with self._lock:
            lost = self._pending_of(process)
            for pending in lost:
                del self._pending[pending.number]
            if not process.is_cut:
                self._blame(lost)
            # One thing is done after another: what still waited is not what it died of.
            asked = [
                one.outlived(process, is_doing=one is lost[0])
                for one in lost
                if one.future is not None
            ]
            hopeful = [p for p in asked if p.is_hopeful and not refusal]
            hopeless = [p for p in asked if p not in hopeful]
            error = None if self._is_closed else self._ask_again(hopeful, process)
        for pending in hopeless:
            why = errors.EngineError(refusal) if refusal else died(pending, process)
            fail(pending.future, why)
        if error is not None:
            for pending in hopeful:
                fail(pending.future, error)
        else:
            tell_one(hopeful, Notice(news(process)))

    def _let_go(self, process: EngineProcess) -> str:
        """Give a process up; why none will take its place, if so.

        Where a link does not come back at once, this waits for it.
        """
        with self._lock:
            if self._spare is process:
                self._spare = None
            if self._process is process:
                self._process = None
            if not self.place.is_elsewhere:
                return ""
            if process.has_begun:
                self._has_met, self._tries = True, 0
                return ""
            self._tries += 1
            if process.is_refused or not self._has_met or self._tries > _MOST_TRIES:
                self._tries = 0
                return process.why_none
            pending, seconds = self._pending_of(process), min(2 ** (self._tries - 1), 8)
        text = f"The link to {process.place.name} is cut. It is tried again; work is kept."
        tell_one(pending, Notice(text))
        self._ended.wait(seconds)
        return ""

    def _pending_of(self, process: EngineProcess | None) -> list[Pending]:
        return [p for p in self._pending.values() if p.process is process]

    def _blame(self, lost: list[Pending]) -> None:
        """Of what it was told again, the first that is not done is what it died of."""
        told = [pending for pending in lost if pending.future is None]
        if told:
            self._known.blame(told[0].request)

    def _ask_again(
        self, asked: list[Pending], dead: EngineProcess
    ) -> errors.EngineError | None:
        """Ask a new process; one that was of use is also replaced if nothing is asked."""
        if not (asked or (dead.has_served and self._known)):
            return None
        try:
            process = self._process or self._begin([p.request for p in asked])
        except errors.EngineError as error:
            return error
        for pending in asked:
            self._post(replace(pending, process=process))
        return None

    # Watching

    def _watch(self) -> None:
        """See to it that a hanging engine is told of, and that there is a spare one."""
        while not self._ended.wait(_TICK):
            with self._lock:
                process = self._process
                pending = self._pending_of(process)
                if self._known and not pending:
                    self._keep_spare()
            if process is None:
                continue
            if self.place.is_elsewhere:
                process.watch_link()
            if pending:
                process.ping()
                self._tell_trouble(process, pending)

    def _keep_spare(self) -> None:
        """Start a spare process, once for each that may need one, and prepare it."""
        has_room = psutil.virtual_memory().available > _ROOM_FOR_SPARE
        if self._wants_spare and has_room and not self._spare and not self._is_closed:
            self._wants_spare, self._prepared = False, ""
            try:
                self._spare = self._start()
            except errors.EngineError:
                _log.exception("there is no spare engine")
        encoder = self._known.encoder
        if self._spare is not None and encoder not in ("", self._prepared):
            self._prepared = encoder
            self._spare.post(Envelope(0, Prepare(encoder)))

    def _tell_trouble(self, process: EngineProcess, pending: list[Pending]) -> None:
        trouble = process.trouble
        if not trouble:
            if self._told_of is process:
                self._tell_relief(pending)
            return
        for one in pending:
            tell(one, Progress(0, 0, Stage.SILENCE))
        if self._told_of is not process:
            self._told_of = process
            way_out = "Wait, or press Cancel: it is replaced, and your work is kept."
            tell_one(pending, Notice(f"{trouble} {way_out}"))

    def _tell_relief(self, pending: list[Pending]) -> None:
        """Take back what was told of an engine that seemed to hang."""
        self._told_of = None
        for one in pending:
            tell(one, Progress(0, 0, Stage.RELIEF))
        tell_one(pending, Notice("The engine answers again."))
