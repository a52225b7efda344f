"""An engine process: its pipes, the threads that keep them moving, its signs of life."""

from __future__ import annotations

import collections
import contextlib
import queue
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from napari_dinomed import errors
from napari_dinomed.engine.messages import Envelope, Failed, Hello, Ping, Pong
from napari_dinomed.engine.wire import receive, send

if TYPE_CHECKING:
    from collections.abc import Callable

    Deliver = Callable[["EngineProcess", Envelope], None]
    Bury = Callable[["EngineProcess"], None]

SECONDS_OF_SILENCE = 10.0
"""An engine that gives no sign of life for so long is taken to hang: its reading thread
answers within milliseconds, whatever is computed meanwhile."""

SECONDS_AT_A_STEP = 60.0
"""A step that takes so long is taken to hang: one batch of slices, read or encoded, is
done in seconds on a slow processor."""

# Until then it reads its libraries, from a cold disk perhaps.
_SECONDS_TO_START = 60.0
_SECONDS_TO_EXIT = 5.0
_LAST_WORDS = 20
# More than a pipe holds by itself: if so much was taken, somebody reads at its other end.
_PIECE = 1024**2


class EngineProcess:
    """A running engine.

    Parameters
    ----------
    command
        Command line.
    deliver
        Told every message but answers to pings, on a thread of the process' own.
    bury
        Told, once, that it has ended; on the same thread.

    Raises
    ------
    EngineError
        Where it cannot be started.
    """

    def __init__(self, command: list[str], deliver: Deliver, bury: Bury) -> None:
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except (OSError, MemoryError) as error:
            raise _cannot_start(command, error) from error
        self.id = self._popen.pid
        self.has_served = False
        self._deliver, self._bury = deliver, bury
        self._outbox: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        self._said: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
        self._has_begun = False
        self._sign = time.monotonic()
        self._pinged: float | None = None
        self._seconds_at_step = 0.0
        self._threads = [
            threading.Thread(target=work, daemon=True)
            # The reading thread waits for the first one, which must be there by then.
            for work in (self._overhear, self._read, self._write)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self._popen.kill()
            raise _cannot_start(command, error) from error

    def post(self, envelope: Envelope) -> None:
        """Send a message; returns at once."""
        self._outbox.put(envelope)

    def ping(self) -> None:
        """Ask for a sign of life, unless one is awaited."""
        if self._pinged is None:
            self._pinged = time.monotonic()
            self.post(Envelope(0, Ping()))

    @property
    def trouble(self) -> str:
        """Why it is taken to hang; empty where it is not."""
        pinged = self._pinged
        waited = 0.0 if pinged is None else time.monotonic() - max(pinged, self._sign)
        if waited > (SECONDS_OF_SILENCE if self._has_begun else _SECONDS_TO_START):
            return f"The engine has given no sign of life for {waited:.0f} s."
        if self._seconds_at_step > SECONDS_AT_A_STEP:
            return f"The engine has been at one step for {self._seconds_at_step:.0f} s."
        return ""

    @property
    def last_words(self) -> str:
        """What it wrote to standard error at the end, and its exit code."""
        words = "\n".join(line for line in self._said if line)
        return f"Its last words (exit code {self._popen.returncode}):\n{words}"

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._outbox.put(None)
        try:
            self._popen.wait(_SECONDS_TO_EXIT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_SECONDS_TO_EXIT)

    def _write(self) -> None:
        stream = _Pipe(self._popen.stdin, self._give_sign)
        try:
            while (envelope := self._outbox.get()) is not None:
                self._send(stream, envelope)
        except (OSError, ValueError):
            pass  # The reading thread sees the same end and reports it.
        except BaseException as error:  # noqa: BLE001 - or all would wait for ever
            self._give_up(error)
        finally:
            with contextlib.suppress(OSError):
                stream.close()

    def _send(self, stream: Any, envelope: Envelope) -> None:
        """Send a request, or fail it alone where it cannot be sent."""
        try:
            send(stream, envelope)
        except errors.EngineError as error:
            failed = Failed(type(error).__name__, str(error))
            self._deliver(self, Envelope(envelope.request, failed))

    def _read(self) -> None:
        stream = _Pipe(self._popen.stdout, self._give_sign)
        try:
            while (envelope := receive(stream)) is not None:  # type: ignore[arg-type]
                self._hear(envelope)
        except BaseException as error:  # noqa: BLE001 - or all would wait for ever
            self._give_up(error)
        finally:
            stream.close()
            self._popen.wait()
            self._outbox.put(None)
            self._threads[0].join(_SECONDS_TO_EXIT)
            self._bury(self)

    def _hear(self, envelope: Envelope) -> None:
        self._give_sign()
        message = envelope.message
        if isinstance(message, Hello):
            self._has_begun = True
        elif isinstance(message, Pong):
            self._pinged, self._seconds_at_step = None, message.seconds_at_step
        else:
            # Only between two steps it says anything else.
            self._seconds_at_step = 0.0
            self._deliver(self, envelope)

    def _give_sign(self) -> None:
        self._sign = time.monotonic()

    def _give_up(self, error: BaseException) -> None:
        """End a process that cannot be spoken with; the reading thread sees the end."""
        is_told = isinstance(error, errors.EngineError)
        self._said.append(str(error) if is_told else f"{type(error).__name__}: {error}")
        self._popen.kill()

    def _overhear(self) -> None:
        assert self._popen.stderr is not None
        with self._popen.stderr as stream:
            for line in stream:
                self._said.append(line.decode(errors="replace").rstrip())


def _cannot_start(command: list[str], error: Exception) -> errors.EngineError:
    return errors.EngineError(
        f"The engine cannot be started with {' '.join(command)}: {error}"
    )


class _Pipe:
    """One of the pipes; a large piece that passes is a sign of life.

    Parameters
    ----------
    stream
        The pipe.
    sign
        Told of the pieces.
    """

    def __init__(self, stream: IO[bytes] | None, sign: Callable[[], None]) -> None:
        self._stream: Any = stream
        self._sign = sign

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            self._stream.write(piece)
            if len(piece) == _PIECE:
                self._sign()

    def flush(self) -> None:
        self._stream.flush()

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        return data

    def readinto(self, view: memoryview) -> int:
        count: int = self._stream.readinto1(view)
        self._sign()
        return count

    def close(self) -> None:
        self._stream.close()
