"""napari-dinomed's engine over a pipe, with numpy and Python's own library alone.

3D Slicer's Python has neither pydantic nor torch: the engine runs in an environment of its
own, as another process. A frame is ``DNM1``, the header's length (4 bytes, big-endian), the
header in JSON, and the bytes of the arrays that it lists, in C order and little-endian.
"""

from __future__ import annotations

import json
import math
import queue
import shlex
import struct
import subprocess
import threading

import numpy as np

MAGIC = b"DNM1"
PREFIX = struct.Struct(">4sI")
# As the engine's own: what claims more is no frame.
MOST_HEADER = 64 * 1024**2
MOST_ARRAY = 64 * 1024**3
NUMBERS = "biuf"


class EngineError(RuntimeError):
    """The engine refused, died, or is not understood."""


def send(stream, request, kind, body, **arrays):
    """Write one frame."""
    little = {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        for name, array in arrays.items()
    }
    listed = [
        {"name": name, "dtype": array.dtype.str, "shape": array.shape}
        for name, array in little.items()
    ]
    values = {"request": request, "kind": kind, "body": body, "arrays": listed}
    header = json.dumps(values).encode()
    stream.write(PREFIX.pack(MAGIC, len(header)) + header)
    for array in little.values():
        stream.write(array.tobytes())
    stream.flush()


def receive(stream):
    """Read one frame: request, kind, body, arrays; None where the stream has ended."""
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return None
    magic, length = PREFIX.unpack(prefix)
    if magic != MAGIC or length > MOST_HEADER:
        raise EngineError(f"A frame cannot begin with {prefix!r}.")
    header = json.loads(_exactly(stream, length))
    arrays = {entry["name"]: _array(stream, entry) for entry in header["arrays"]}
    return header["request"], header["kind"], header["body"], arrays


def _array(stream, entry):
    dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in NUMBERS or min(shape, default=0) < 0 or size > MOST_ARRAY:
        raise EngineError(f"An array of {dtype} and shape {shape} cannot be.")
    return np.frombuffer(_exactly(stream, size), dtype).reshape(shape)


def _exactly(stream, length):
    data = stream.read(length)
    if len(data) < length:
        raise EngineError(f"The engine's answer ends after {len(data)} of {length} bytes.")
    return data


class Engine:
    """An engine's process; one question at a time.

    Parameters
    ----------
    command
        What starts it: ``napari-dinomed engine --plain``, by its whole path if need be, or
        ``ssh HOST napari-dinomed engine --plain``.
    environment
        Environment variables; those of 3D Slicer would confuse another Python.
    meanwhile
        Called again and again while an answer is waited for.
    """

    def __init__(self, command, environment=None, meanwhile=lambda: None):
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                shlex.split(command), stdin=pipe, stdout=pipe, env=environment
            )
        except OSError as error:
            raise EngineError(f"Cannot start {command!r}: {error}.") from error
        self._meanwhile = meanwhile
        self._asked = 0
        self._heard = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, kind, body, on_event=lambda kind, body: None, **arrays):
        """What an engine answers: kind, body, arrays.

        ``on_event`` is told kind and body of what comes before. Raises `EngineError` where
        the engine cannot do it, or is gone.
        """
        self._asked += 1
        try:
            send(self._process.stdin, self._asked, kind, body, **arrays)
        except OSError as error:
            raise EngineError("The engine has ended.") from error
        while True:
            number, kind, body, arrays = self._next()
            if number != self._asked:
                continue
            if kind == "Failed":
                raise EngineError(body["text"])
            if kind not in ("Progress", "Begun", "Notice", "SliceLabels"):
                return kind, body, arrays
            on_event(kind, body)

    def close(self):
        """End it."""
        self._process.stdin.close()
        self._process.wait()

    def _next(self):
        while True:
            try:
                # As often as a screen is drawn anew.
                frame = self._heard.get(timeout=0.02)
            except queue.Empty:
                self._meanwhile()
                continue
            if isinstance(frame, Exception):
                raise frame
            return frame

    def _listen(self):
        try:
            while (frame := receive(self._process.stdout)) is not None:
                self._heard.put(frame)
            self._heard.put(EngineError("The engine has ended."))
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self._heard.put(error)
