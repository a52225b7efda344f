"""Writing so that nothing is lost: not by a failure, not by a kill, not by a power cut.

What is written grows in a *workroom*, a hidden folder beside its place that names its
process, and takes its place at the very end. A file does so in one step. A folder cannot:
the old one moves into the workroom first, and a journal there says where it belongs, so
that whoever comes by next can finish the exchange.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import shutil
import socket
import stat
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from napari_dinomed.errors import WriteError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Stamp = tuple[int, int, int] | None
# Host, process, the second that it started in, and a number.
_ROOM = re.compile(r"\.dinomed-([0-9a-f]{8})-(\d{1,10})-(\d{1,12})-[0-9a-f]{8}")
_DAY = 86_400
# Seconds by which two askings for the start of a process may differ.
_CLOCK = 2
# What file systems answer that have no fsync for this kind of file.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
# Names of the workrooms in which this process is at work.
_active: set[str] = set()


def stamp_of(path: Path) -> Stamp:
    """What changes whenever a file is replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def unchanged_since(stamp: Stamp) -> Callable[[Path], None]:
    """See that nobody has written a file since it was read; WriteError where one has."""

    def require(path: Path) -> None:
        if stamp_of(path) == stamp:
            return
        if stamp is None:
            raise WriteError(
                f"{path.name} is there by now, from another program: choose another name."
            )
        raise WriteError(
            f"{path.name} was changed by another program since it was read, and is left as "
            "it is now. Do the same again to add to that."
        )

    return require


@contextmanager
def replacing(
    path: Path, require: Callable[[Path], None] = lambda _: None
) -> Iterator[Path]:
    """Yield a temporary path; it takes the place of ``path`` once all is written.

    The temporary file has the same name, since writers go by the suffix. A link is written
    through, and a file that is replaced keeps its mode.

    Parameters
    ----------
    path
        The file's place.
    require
        Raises where what is at that place by then may not be replaced.

    Raises
    ------
    WriteError
        Where the folder is missing or read-only, the file is write-protected, a device or a
        pipe is in its place, or the disk is full.
    """
    with _one_error(path):
        place = _behind_links(path)
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, "It is a folder")
        if place.exists() and not place.is_file():
            raise OSError(errno.EINVAL, "It is a device or a pipe, not a file")
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, "It is write-protected")
        with _workroom(place.parent) as room:
            temporary = room / path.name
            yield temporary
            _sync(temporary)
            _keep_mode(place, temporary)
            require(place)
            os.replace(temporary, place)
            _sync_folder(place.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing_folder(
    path: Path, require: Callable[[Path], None] = lambda _: None
) -> Iterator[Path]:
    """Yield a temporary folder's path; it takes the place of ``path`` once all is written.

    Parameters
    ----------
    path
        The folder's place.
    require
        Raises where what is at that place by then may not be replaced.

    Raises
    ------
    WriteError
        As `replacing`; the old folder, if any, stays as it was.
    """
    with _one_error(path):
        place = _behind_links(path)
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "It is a file")
        with _workroom(place.parent) as room:
            new = room / "new"
            yield new
            _sync_tree(new)
            _keep_mode(place, new)
            require(place)
            _exchange(room, place)


def recover(folder: Path) -> None:
    """Finish what a dead process began to exchange in a folder; never raises."""
    _visit_the_dead(folder, sweep=False)


def is_workroom(path: Path) -> bool:
    """Whether a path is a workroom, or lies in one."""
    return any(_ROOM.fullmatch(part) for part in path.parts)


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"Cannot write {path}: {error.strerror or error}. Nothing was changed; "
            "choose a folder that exists, can be written, and has room."
        ) from error


def _behind_links(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, "The link leads back to itself") from error


@contextmanager
def _workroom(folder: Path) -> Iterator[Path]:
    """A workroom in a folder; what the dead left there is cleared first."""
    _visit_the_dead(folder, sweep=True)
    host, pid, start = _identity()
    name = f".dinomed-{host}-{pid}-{start}-{uuid.uuid4().hex[:8]}"
    room = folder / name
    _active.add(name)
    try:
        room.mkdir(mode=0o700)
        with _locked(room, create=True):
            yield room
    except BaseException:
        _undo(room)
        raise
    finally:
        _clear(room)
        _active.discard(name)


def _exchange(room: Path, place: Path) -> None:
    """Put the new folder in its place, and the old one, if any, into the workroom."""
    new, old, journal = room / "new", room / "old", room / "journal"
    if place.exists():
        journal.write_text(place.name, encoding="utf-8")
        _sync(journal)
        _sync_folder(room)
        _sync_folder(place.parent)
        os.replace(place, old)
    os.replace(new, place)
    _sync_folder(place.parent)
    journal.unlink(missing_ok=True)


def _undo(room: Path) -> None:
    """Put the old folder back where the new one did not take its place."""
    place = _place_of(room)
    if place is not None and (room / "old").exists() and not place.exists():
        with suppress(OSError):
            os.replace(room / "old", place)


def _finish(room: Path) -> bool:
    """Finish an exchange that was cut short; whether nothing is left that is needed."""
    new, old, place = room / "new", room / "old", _place_of(room)
    if place is None or not old.exists():
        # Not begun, and the old folder is where it was; or done, and the journal is gone.
        return not old.exists() or not (room / "journal").exists()
    if place.exists():
        # Either the new one is there, or something else came between: then both stay.
        return not new.exists()
    os.replace(new if new.exists() else old, place)
    _sync_folder(place.parent)
    return True


def _place_of(room: Path) -> Path | None:
    """Where the old folder in a workroom belongs, by its journal."""
    try:
        name = (room / "journal").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    is_plain = name == Path(name).name and name not in ("", ".", "..")
    return room.with_name(name) if is_plain else None


def _clear(room: Path) -> None:
    """Remove a workroom, unless it holds the only copy of something."""
    if (room / "old").exists() and (room / "journal").exists():
        place = _place_of(room)
        if place is None or not place.exists() or (room / "new").exists():
            return
    shutil.rmtree(room, ignore_errors=True)


def _visit_the_dead(folder: Path, sweep: bool) -> None:
    """Finish what dead processes left in a folder; remove their workrooms to sweep."""
    with suppress(OSError):
        with os.scandir(folder) as entries:
            rooms = [
                Path(entry.path)
                for entry in entries
                if _ROOM.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
        for room in rooms:
            if (sweep or (room / "journal").exists()) and _is_dead(room):
                with suppress(OSError), _locked(room):
                    if _finish(room):
                        shutil.rmtree(room, ignore_errors=True)


def _is_dead(room: Path) -> bool:
    """Whether the process that a workroom is named after is no more.

    Of a process elsewhere only its lock can tell, and that it is long ago.
    """
    found = _ROOM.fullmatch(room.name)
    if found is None:
        return False
    host, pid, start = found[1], int(found[2]), int(found[3])
    if host != _identity()[0]:
        is_old = time.time() - room.stat().st_mtime > _DAY
        return is_old and fcntl is not None and (room / "lock").exists()
    if pid == os.getpid():
        return room.name not in _active
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - start) <= _CLOCK
        return not is_same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@contextmanager
def _locked(room: Path, create: bool = False) -> Iterator[None]:
    """Hold a workroom's lock; raises `OSError` where another process holds it.

    The system lets go of it when the process dies, in another container as well.
    """
    lock = room / "lock"
    if fcntl is None or not (create or lock.exists()):
        yield
        return
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            # Some file systems know no locks: of our own machine the process's number has
            # to do.
            if not room.name.startswith(f".dinomed-{_host()}-"):
                raise
        yield


def _identity() -> tuple[str, int, int]:
    """Of this process: host, number, and the second that it started in."""
    pid = os.getpid()
    return _host(), pid, _started(pid)


@functools.cache
def _host() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


@functools.cache
def _started(pid: int) -> int:
    return int(psutil.Process(pid).create_time())


def _keep_mode(old: Path, new: Path) -> None:
    """Give what is new the owner, as far as allowed, and the mode of what it replaces."""
    try:
        was, now = old.stat(), new.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "chown") and (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        try:
            os.chown(new, was.st_uid, was.st_gid)
        except OSError:
            with suppress(OSError):
                os.chown(new, -1, was.st_gid)
    os.chmod(new, stat.S_IMODE(was.st_mode) & 0o777)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(root, name))
        _sync_folder(Path(root))


def _sync(path: Path) -> None:
    # Windows syncs only what is open for writing, others what can be read.
    with path.open("r+b" if os.name == "nt" else "rb") as file:
        _fsync(file)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    try:
        number = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # A folder that may be written but not listed.
        return
    try:
        _fsync(number)
    finally:
        os.close(number)


def _fsync(file: Any) -> None:
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
