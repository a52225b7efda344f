"""Asking an engine process: futures, events, cancellation, and bringing it back to life."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psutil

from napari_dinomed import errors
from napari_dinomed.engine.known import Known
from napari_dinomed.engine.messages import (
    Cancel,
    Closed,
    CloseVolume,
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
from napari_dinomed.engine.process import EngineProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari_dinomed.engine.messages import Reply, Request

    OnEvent = Callable[[Event], None]

_log = logging.getLogger(__name__)

# One engine may die of something else than what it was asked; two hardly do.
_MOST_DEATHS = 2
# Seconds between looks at whether the engine lives; a hang is noticed that much later.
_TICK = 1.0
# Bytes of free memory from which a spare engine, of 0.4 GB, is in nobody's way.
_ROOM_FOR_SPARE = 4e9


@dataclass(frozen=True, eq=False)
class Call:
    """A request under way.

    Parameters
    ----------
    future
        Its result; an error of `napari_dinomed.errors` where it failed, `Cancelled`
        where it was withdrawn.
    cancel
        Withdraw it.
    """

    future: Future[Any]
    cancel: Callable[[], None]


@dataclass(frozen=True, eq=False)
class _Pending:
    """A request that is not answered yet.

    Parameters
    ----------
    number, request, future, on_event
        What was asked, and who waits for it; nobody waits where an engine is only told
        again what the last one knew.
    process
        Who was asked.
    deaths
        Engines that died while they were doing this.
    """

    number: int
    request: Request
    future: Future[Any] | None
    on_event: OnEvent | None
    process: EngineProcess
    deaths: int = 0


class EngineClient:
    """An engine process and the requests it is carrying out.

    The process is started by the first request. When it dies, another one is given the
    volumes that it had open, and their features, and is asked anew what was not answered;
    a request at which two engines died fails. One that cannot be made fails as any other
    does: by its future. Events and results are delivered on a thread of the client's own.

    An engine that hangs is told of by a `Notice`, and replaced by `recover`.

    Parameters
    ----------
    command
        Command line of the engine; ``ssh HOST python -m napari_dinomed.engine`` puts it
        on another machine.
    has_spare
        Whether a second process waits, its libraries read, to take the first one's
        place; it is started in a quiet moment, where there is memory for it.
    """

    def __init__(
        self, command: Sequence[str] | None = None, has_spare: bool = False
    ) -> None:
        self._command = list(command or (sys.executable, "-m", "napari_dinomed.engine"))
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._process: EngineProcess | None = None
        self._spare: EngineProcess | None = None
        self._wants_spare = self._has_spare = has_spare
        self._prepared = ""
        self._pending: dict[int, _Pending] = {}
        self._known = Known()
        self._is_closed = False
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None
        self._told_of: EngineProcess | None = None

    def submit(self, request: Request, on_event: OnEvent | None = None) -> Call:
        """Ask; returns at once."""
        future = _running()
        try:
            with self._lock:
                number = self._ask(request, future, on_event)
        except errors.DinomedError as error:
            future.set_exception(error)
            return Call(future, lambda: None)
        return Call(future, lambda: self._cancel(number))

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
            _fail(lost.future, errors.Cancelled("withdrawn"))
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
        self._post(_Pending(number, request, future, on_event, process))
        return number

    def _begin(self, asked: Sequence[Request]) -> EngineProcess:
        """A process that is told what the last one knew, before it is ``asked``."""
        process, self._spare = self._spare or self._start(), None
        self._process, self._wants_spare = process, self._has_spare
        for request in self._known.to_tell(asked):
            self._post(_Pending(next(self._numbers), request, None, None, process))
        return process

    def _start(self) -> EngineProcess:
        process = EngineProcess(self._command, self._deliver, self._bury)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return process

    def _post(self, pending: _Pending) -> None:
        self._pending[pending.number] = pending
        pending.process.post(Envelope(pending.number, pending.request))

    def _cancel(self, number: int) -> None:
        with self._lock:
            pending = self._pending.pop(number, None)
        if pending is None:
            return
        pending.process.post(Envelope(number, Cancel()))
        _fail(pending.future, errors.Cancelled("withdrawn"))

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
                process.has_served |= pending.future is not None
        if self._told_of is process:
            self._tell_relief([pending])
        if isinstance(message, Event):
            _tell(pending, message)
        elif pending.future is not None:
            _settle(pending.future, message)

    def _bury(self, process: EngineProcess) -> None:
        """Have another process do what a dead one was doing."""
        with self._lock:
            if self._spare is process:
                self._spare = None
            if self._process is process:
                self._process = None
            lost = [p for p in self._pending.values() if p.process is process]
            for pending in lost:
                del self._pending[pending.number]
            # One thing is done after another: what still waited is not what it died of.
            asked = [
                replace(one, deaths=one.deaths + (one is lost[0]))
                for one in lost
                if one.future is not None
            ]
            self._blame(lost)
            hopeful = [p for p in asked if p.deaths < _MOST_DEATHS]
            hopeless = [p for p in asked if p.deaths >= _MOST_DEATHS]
            error = self._ask_again(hopeful, process) if not self._is_closed else None
        for pending in hopeless:
            _fail(pending.future, _died(process))
        if error is not None:
            for pending in hopeful:
                _fail(pending.future, error)
        else:
            _tell_one(hopeful, Notice("The engine stopped, and was started again."))

    def _blame(self, lost: list[_Pending]) -> None:
        """Of what it was told again, the first that is not done is what it died of."""
        told = [pending for pending in lost if pending.future is None]
        if told:
            self._known.blame(told[0].request)

    def _ask_again(
        self, asked: list[_Pending], dead: EngineProcess
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
                pending = [p for p in self._pending.values() if p.process is process]
                if self._known and not pending:
                    self._keep_spare()
            if process is not None and pending:
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

    def _tell_trouble(self, process: EngineProcess, pending: list[_Pending]) -> None:
        trouble = process.trouble
        if not trouble:
            if self._told_of is process:
                self._tell_relief(pending)
            return
        for one in pending:
            _tell(one, Progress(0, 0, Stage.SILENCE))
        if self._told_of is not process:
            self._told_of = process
            way_out = "Wait, or press Cancel: it is replaced, and your work is kept."
            _tell_one(pending, Notice(f"{trouble} {way_out}"))

    def _tell_relief(self, pending: list[_Pending]) -> None:
        """Take back what was told of an engine that seemed to hang."""
        self._told_of = None
        for one in pending:
            _tell(one, Progress(0, 0, Stage.RELIEF))
        _tell_one(pending, Notice("The engine answers again."))


def _running() -> Future[Any]:
    """A future that only a reply can settle."""
    future = Future[Any]()
    future.set_running_or_notify_cancel()
    return future


def _tell_one(pending: Iterable[_Pending], event: Event) -> None:
    """Tell the first who listens; all of them ask for the same user."""
    for one in pending:
        if one.on_event is not None:
            _tell(one, event)
            return


def _tell(pending: _Pending, event: Event) -> None:
    """Tell of an event whoever listens."""
    on_event = pending.on_event
    if on_event is not None:
        _outside(lambda: on_event(event))


def _outside(work: Callable[[], None]) -> None:
    """Run what the asker does; what goes wrong there must not end a thread of ours."""
    try:
        work()
    except BaseException:  # noqa: BLE001 - it is the asker's, whatever it is
        _log.exception("what was told of an answer failed")


def _settle(future: Future[Any], reply: Reply) -> None:
    if isinstance(reply, Withdrawn):
        _fail(future, errors.Cancelled("withdrawn"))
    elif isinstance(reply, Failed):
        kind = getattr(errors, reply.error, None)
        if not (isinstance(kind, type) and issubclass(kind, errors.DinomedError)):
            kind = errors.EngineError
        _fail(future, kind(reply.text))
    else:
        _outside(lambda: future.set_result(reply))


def _fail(future: Future[Any] | None, error: errors.DinomedError) -> None:
    if future is not None:
        _outside(lambda: future.set_exception(error))


def _died(process: EngineProcess) -> errors.EngineError:
    return errors.EngineError(
        f"The engine stopped at this request {_MOST_DEATHS} times, and is not asked again. "
        f"Your prompts and labels are safe.\n{process.last_words}"
    )
