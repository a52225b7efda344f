"""One run at a time in a folder of results."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_dinomed.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK, _HOLDER = ".running.lock", ".running"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; a process that dies lets go of it.

    Raises
    ------
    WriteError
        Where another run holds it, or it cannot be written.
    """
    lock, holder = FileLock(folder / _LOCK), folder / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WriteError(
            f"{folder} is in use by another run{_said_by(holder)}. Wait for it to end, "
            "or choose another folder."
        ) from error
    except OSError as error:
        raise WriteError(f"Cannot write {folder}: {error}") from error
    try:
        began = datetime.now().astimezone().isoformat(" ", "minutes")
        with suppress(OSError):  # Without it, another run is told less.
            holder.write_text(
                f"process {os.getpid()} on {socket.gethostname()} since {began}"
            )
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _said_by(holder: Path) -> str:
    try:
        return f" ({holder.read_text()})"
    except OSError:
        return ""
