"""An engine process: its pipes, the threads that keep them moving, its signs of life."""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from napari_dinomed import __version__, errors
from napari_dinomed.engine.courier import Courier
from napari_dinomed.engine.link import CUT, no_answer, no_engine, no_wire, other_version
from napari_dinomed.engine.messages import Envelope, Failed, Hello, Ping, Pong
from napari_dinomed.engine.wire import MAGIC, receive, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.engine.place import Place

    Deliver = Callable[["EngineProcess", Envelope], None]
    Bury = Callable[["EngineProcess"], None]

SECONDS_OF_SILENCE = 10.0
"""An engine that gives no sign of life for so long is taken to hang: its reading thread
answers within milliseconds, whatever is computed meanwhile."""

SECONDS_AT_A_STEP = 60.0
"""A step that takes so long is taken to hang: one batch of slices, read or encoded, is
done in seconds on a slow processor."""

# Until then it reads its libraries, from a cold disk perhaps; or logs in before that.
_SECONDS_TO_START = 60.0
# The shortest of so many round trips is the link's; others waited behind voxels.
_ROUND_TRIPS = 5
# Of what a log-in may print before an engine speaks; a page is 2 to 4 kB.
_MOST_GREETING = 64 * 1024
_SECONDS_TO_EXIT = 5.0
_LAST_WORDS = 20
# More than a pipe holds by itself: if so much was taken, somebody reads at its other end.
_PIECE = 1024**2


class EngineProcess:
    """A running engine.

    Parameters
    ----------
    place
        Where it computes.
    deliver
        Told every message but answers to pings, on a thread of the process' own.
    bury
        Told, once, that it has ended; on the same thread.

    Raises
    ------
    EngineError
        Where it cannot be started.
    """

    def __init__(self, place: Place, deliver: Deliver, bury: Bury) -> None:
        try:
            self._popen = subprocess.Popen(
                place.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Without a terminal, ssh asks for no password there: it fails, or asks by
                # a window. And what it started ends with it.
                start_new_session=place.is_elsewhere,
            )
        except (OSError, MemoryError) as error:
            raise _cannot_start(place, error) from error
        self.id = self._popen.pid
        self.place = place
        self.has_served = self.has_begun = False
        self.refusal = ""
        self._is_cut = False
        self._started = time.monotonic()
        self._deliver, self._bury = deliver, bury
        self._outbox: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        self._said: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
        self._courier: Courier | None = None
        if place.is_elsewhere:
            self._courier = Courier(self._outbox.put, lambda told: deliver(self, told))
        self._round_trips: collections.deque[float] = collections.deque(maxlen=_ROUND_TRIPS)
        self._sign = time.monotonic()
        self._inbox = _Pipe(self._popen.stdout, self._give_sign)
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
            raise _cannot_start(place, error) from error

    def post(self, envelope: Envelope) -> None:
        """Send a message; returns at once."""
        if self._courier is not None:
            self._courier.post(envelope)
        else:
            self._outbox.put(envelope)

    def ping(self) -> None:
        """Ask for a sign of life, unless one is awaited."""
        if self._pinged is None:
            self._pinged = time.monotonic()
            self.post(Envelope(0, Ping()))

    @property
    def _silence(self) -> float:
        """Seconds for which a sign of life was waited for."""
        pinged = self._pinged
        return 0.0 if pinged is None else time.monotonic() - max(pinged, self._sign)

    @property
    def trouble(self) -> str:
        """Why it is taken to hang; empty where it is not."""
        waited = self._silence
        if waited > (SECONDS_OF_SILENCE if self.has_begun else _SECONDS_TO_START):
            return f"The engine has given no sign of life for {waited:.0f} s."
        if self._seconds_at_step > SECONDS_AT_A_STEP:
            return f"The engine has been at one step for {self._seconds_at_step:.0f} s."
        return ""

    @property
    def round_trip(self) -> float | None:
        """Seconds to the engine and back; None where that was not measured yet."""
        return min(self._round_trips, default=None)

    @property
    def is_cut(self) -> bool:
        """Whether the link ended, and not the engine, as far as that can be told."""
        return self._is_cut or (self.place.is_elsewhere and self._popen.returncode == CUT)

    @property
    def is_refused(self) -> bool:
        """Whether trying again is of no use."""
        return bool(self.refusal) and not self._is_cut

    @property
    def last_words(self) -> str:
        """What it wrote to standard error at the end, and its exit code."""
        words = "\n".join(line for line in self._said if line)
        return f"Its last words (exit code {self._popen.returncode}):\n{words}"

    @property
    def why_none(self) -> str:
        """In one line, why there was no engine at the other end."""
        last = next((line for line in reversed(self._said) if line), "")
        return self.refusal or no_engine(self.place, self._popen.returncode, last)

    def kill(self) -> None:
        """End it at once."""
        if self.place.is_elsewhere and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.id, signal.SIGKILL)
        self._popen.kill()

    def cut(self) -> None:
        """End what cannot be reached, which nobody is to blame for."""
        self._is_cut = True
        self.kill()

    def watch_link(self) -> None:
        """See to a link by itself: ask for a sign of life, cut it where none comes."""
        if not self.has_begun:
            waited = time.monotonic() - self._started
            if waited > _SECONDS_TO_START:
                self.refusal = no_answer(self.place, waited, bytes(self._inbox.skipped))
                self.cut()
        elif self._silence > SECONDS_OF_SILENCE:
            self.cut()
        else:
            self.ping()

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._outbox.put(None)
        try:
            self._popen.wait(_SECONDS_TO_EXIT)
        except subprocess.TimeoutExpired:
            self.kill()
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
            send(stream, envelope, packs=self.place.is_elsewhere)
        except errors.EngineError as error:
            failed = Failed(type(error).__name__, str(error))
            self._deliver(self, Envelope(envelope.request, failed))

    def _read(self) -> None:
        stream = self._inbox
        try:
            if self.place.is_elsewhere and not stream.skip_to(MAGIC, _MOST_GREETING):
                self.refusal = no_wire(self.place, bytes(stream.skipped))
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
            self._meet(message)
        elif isinstance(message, Pong):
            if self._pinged is not None:
                self._round_trips.append(time.monotonic() - self._pinged)
            self._pinged, self._seconds_at_step = None, message.seconds_at_step
        else:
            # Only between two steps it says anything else.
            self._seconds_at_step = 0.0
            if isinstance(message, Failed) and self.place.is_elsewhere:
                told_by = f"{self.place.name}: {message.text}"
                envelope = replace(envelope, message=replace(message, text=told_by))
            told = envelope if self._courier is None else self._courier.hear(envelope)
            if told is not None:
                self._deliver(self, told)

    def _meet(self, hello: Hello) -> None:
        """Begin, unless an engine elsewhere is of another version."""
        if self.place.is_elsewhere and hello.version != __version__:
            self.refusal = other_version(self.place, hello.version)
            raise errors.EngineError(self.refusal)
        self.has_begun, self._pinged = True, None
        if self.place.is_elsewhere:
            self.ping()

    def _give_sign(self) -> None:
        self._sign = time.monotonic()

    def _give_up(self, error: BaseException) -> None:
        """End a process that cannot be spoken with; the reading thread sees the end."""
        is_told = isinstance(error, errors.EngineError)
        self._said.append(str(error) if is_told else f"{type(error).__name__}: {error}")
        self.kill()

    def _overhear(self) -> None:
        assert self._popen.stderr is not None
        with self._popen.stderr as stream:
            for line in stream:
                self._said.append(line.decode(errors="replace").rstrip())


def _cannot_start(place: Place, error: Exception) -> errors.EngineError:
    return errors.EngineError(f"The engine cannot be started with {place.line}: {error}")


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
        self._ahead, self.skipped = b"", bytearray()

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            self._stream.write(piece)
            if len(piece) == _PIECE:
                self._sign()

    def flush(self) -> None:
        self._stream.flush()

    def skip_to(self, mark: bytes, most: int) -> bool:
        """Leave out what comes before a mark, at most so many bytes; whether it came."""
        seen = self.skipped
        while not seen.endswith(mark):
            byte = self._stream.read(1) if len(seen) < most else b""
            seen += byte
            if not byte:
                return not seen
        del seen[-len(mark) :]
        self._ahead = mark
        return True

    def read(self, size: int) -> bytes:
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        data: bytes = self._stream.read(size - len(ahead))
        return ahead + data

    def readinto(self, view: memoryview) -> int:
        count: int = self._stream.readinto1(view)
        self._sign()
        return count

    def close(self) -> None:
        self._stream.close()
