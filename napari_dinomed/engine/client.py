"""Asking an engine process: futures, events, cancellation, and bringing it back to life."""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from napari_dinomed import errors
from napari_dinomed.engine.messages import (
    Cancel,
    CloseVolume,
    EncodeVolume,
    Envelope,
    Event,
    Failed,
    Hello,
    OpenSource,
    OpenVolume,
    Withdrawn,
)
from napari_dinomed.engine.wire import receive, send

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_dinomed.engine.messages import Reply, Request

    OnEvent = Callable[[Event], None]

_log = logging.getLogger(__name__)

_SECONDS_TO_EXIT = 5.0
_LAST_WORDS = 20


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
    process: _Process
    request: Request
    future: Future[Any]
    on_event: OnEvent | None


class EngineClient:
    """An engine process and the requests it is carrying out.

    The process is started by the first request, and again by the first one after it died;
    the volumes it had open, and their features, are then handed to it anew. A request that
    cannot be made fails as any other does: by its future. Events and results are delivered
    on a thread of the client's own.

    Parameters
    ----------
    command
        Command line of the engine; ``ssh HOST python -m napari_dinomed.engine`` puts it
        on another machine.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = list(command or (sys.executable, "-m", "napari_dinomed.engine"))
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._process: _Process | None = None
        self._pending: dict[int, _Pending] = {}
        self._open: dict[str, OpenVolume | OpenSource] = {}
        self._encoded: dict[str, EncodeVolume] = {}
        self._is_closed = False

    def submit(self, request: Request, on_event: OnEvent | None = None) -> Call:
        """Ask; returns at once."""
        future = _running()
        try:
            with self._lock:
                number = self._post(self._alive(), request, on_event, future)
        except errors.DinomedError as error:
            future.set_exception(error)
            return Call(future, lambda: None)
        return Call(future, lambda: self._cancel(number))

    def close(self) -> None:
        """Let the process end for good; what it was doing is withdrawn."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
            pending, self._pending = self._pending, {}
        if process is not None:
            process.close()
        for lost in pending.values():
            lost.future.set_exception(errors.Cancelled("withdrawn"))

    @property
    def process_id(self) -> int | None:
        """Of the engine process, where one runs."""
        return self._process.id if self._process is not None else None

    def _alive(self) -> _Process:
        """The process; a new one is given what the last one knew.

        Raises
        ------
        EngineError
            Where none can be started; the next request tries again.
        Cancelled
            Where this client was closed.
        """
        if self._is_closed:
            raise errors.Cancelled("The engine was closed.")
        if self._process is None:
            process = _Process(self._command, self._deliver, self._bury)
            self._process = process
            for request in self._open.values():
                self._post(process, request, None, _running())
            for encoding in self._encoded.values():
                self._post(process, replace(encoding, urgent=True), None, _running())
        return self._process

    def _post(
        self,
        process: _Process,
        request: Request,
        on_event: OnEvent | None,
        future: Future[Any],
    ) -> int:
        number = next(self._numbers)
        self._pending[number] = _Pending(process, request, future, on_event)
        process.outbox.put(Envelope(number, request))
        return number

    def _cancel(self, number: int) -> None:
        with self._lock:
            if self._process is not None and number in self._pending:
                self._process.outbox.put(Envelope(number, Cancel()))

    def _deliver(self, envelope: Envelope) -> None:
        message: Reply = envelope.message  # type: ignore[assignment]
        if isinstance(message, Hello):
            return
        if isinstance(message, Event):
            pending = self._pending.get(envelope.request)
            if pending is not None and pending.on_event is not None:
                _tell(pending.on_event, message)
            return
        with self._lock:
            pending = self._pending.pop(envelope.request, None)
            if pending is not None:
                self._remember(pending.request, message)
        if pending is not None:
            _settle(pending.future, message)

    def _remember(self, request: Request, reply: Reply) -> None:
        has_failed = isinstance(reply, Failed | Withdrawn)
        if isinstance(request, OpenVolume | OpenSource):
            if not has_failed and self._open.get(request.volume) is not request:
                self._open[request.volume] = request
                self._encoded.pop(request.volume, None)
        elif isinstance(request, EncodeVolume) and not has_failed:
            self._encoded[request.volume] = request
        elif isinstance(request, CloseVolume):
            self._open.pop(request.volume, None)
            self._encoded.pop(request.volume, None)

    def _bury(self, process: _Process, last_words: str) -> None:
        """Fail what a dead process was doing; the next request starts another."""
        with self._lock:
            if self._process is process:
                self._process = None
            lost_with_it = [
                number
                for number, pending in self._pending.items()
                if pending.process is process
            ]
            buried = [self._pending.pop(number) for number in lost_with_it]
        for lost in buried:
            lost.future.set_exception(
                errors.EngineError(
                    "The engine stopped in the middle of its work. Your prompts and "
                    f"labels are safe; ask again to restart it.{last_words}"
                )
            )


class _Process:
    """The process and the three threads that keep its pipes moving."""

    def __init__(
        self,
        command: list[str],
        deliver: Callable[[Envelope], None],
        bury: Callable[[_Process, str], None],
    ) -> None:
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise errors.EngineError(
                f"The engine cannot be started with {' '.join(command)}: {error}"
            ) from error
        self.id = self._popen.pid
        self.outbox: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        self._said: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
        self._closing = False
        self._deliver, self._bury = deliver, bury
        self._threads = [
            threading.Thread(target=work, daemon=True)
            # The reading thread waits for the first one, which must be there by then.
            for work in (self._overhear, self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closing = True
        self.outbox.put(None)
        try:
            self._popen.wait(_SECONDS_TO_EXIT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_SECONDS_TO_EXIT)

    def _write(self) -> None:
        stream = _pipe(self._popen.stdin)
        try:
            while (envelope := self.outbox.get()) is not None:
                self._send(stream, envelope)
        except (BrokenPipeError, OSError, ValueError):
            pass  # The reading thread sees the same end and reports it.
        finally:
            with contextlib.suppress(OSError):
                stream.close()

    def _send(self, stream: Any, envelope: Envelope) -> None:
        """Send a request, or fail it alone where it cannot be sent."""
        try:
            send(stream, envelope)
        except errors.EngineError as error:
            failed = Failed(type(error).__name__, str(error))
            self._deliver(Envelope(envelope.request, failed))

    def _read(self) -> None:
        stream = _pipe(self._popen.stdout)
        try:
            while (envelope := receive(stream)) is not None:
                self._deliver(envelope)
        except errors.EngineError as error:
            self._said.append(str(error))
            self._popen.kill()
        finally:
            stream.close()
            self._popen.wait()
            self.outbox.put(None)
            self._threads[0].join(_SECONDS_TO_EXIT)
            self._bury(self, "" if self._closing else self._last_words())

    def _overhear(self) -> None:
        with _pipe(self._popen.stderr) as stream:
            for line in stream:
                self._said.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        words = "\n".join(line for line in self._said if line)
        return f"\nIts last words (exit code {self._popen.returncode}):\n{words}"


def _pipe(stream: IO[bytes] | None) -> Any:
    assert stream is not None
    return stream


def _running() -> Future[Any]:
    """A future that only a reply can settle."""
    future = Future[Any]()
    future.set_running_or_notify_cancel()
    return future


def _tell(on_event: OnEvent, event: Event) -> None:
    """Tell of an event; what goes wrong there must not end the thread that reads."""
    try:
        on_event(event)
    except Exception:  # noqa: BLE001 - it is the asker's, whatever it is
        _log.exception("telling of %s failed", type(event).__name__)


def _settle(future: Future[Any], reply: Reply) -> None:
    if isinstance(reply, Withdrawn):
        future.set_exception(errors.Cancelled("withdrawn"))
    elif isinstance(reply, Failed):
        kind = getattr(errors, reply.error, errors.EngineError)
        future.set_exception(kind(reply.text))
    else:
        future.set_result(reply)
