"""Where a document is kept while it is worked on, and who may write it.

In: the hash of a volume. Out: a place that two volumes never share, read when the volume is
opened and written at every change. Opening writes nothing. A second window on the volume
is told; and whoever finds that another has written since keeps its hands off. Looking
and writing are one step: nobody else writes in between.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_dinomed.errors import DocumentError, WriteError
from napari_dinomed.io.atomic import Stamp, stamp_of
from napari_dinomed.session.file import (
    SUFFIX,
    journal_of,
    load_document,
    save_document,
)
from napari_dinomed.session.journal import Journal
from napari_dinomed.settings import data_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.session.file import SavedDocument

# Of the hash, in the name of a file that lies beside an image: enough to tell apart the
# volumes of one folder.
_HASH_LETTERS = 12
# Seconds that a window waits while another writes, which takes some milliseconds; only one
# that was stopped in the middle takes longer.
_PATIENCE = 0.5


class Autosave:
    """The file of one volume's document.

    Parameters
    ----------
    fingerprint
        Hash of the volume.
    image
        The image's file, if it came from one.
    is_beside
        Whether documents are to lie beside their images.
    """

    def __init__(
        self, fingerprint: str, image: Path | None = None, is_beside: bool = False
    ) -> None:
        self.path = _place(fingerprint, image, is_beside)
        self._journal = Journal(journal_of(self.path))
        self._lock = _lock_of(self.path, "lock")
        self._pen = _lock_of(self.path, "pen")
        self._seen: Stamp = None

    def claim(self) -> bool:
        """Become the one window on the volume; False where another one is."""
        if self._lock is None or self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=0)
        except (Timeout, OSError):
            return False
        return True

    def release(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            self._lock.release()

    def read(self) -> SavedDocument | None:
        """What was kept; None where nothing was. Errors as `load_document`."""
        self._seen = stamp_of(self.path)
        if self._seen is None:
            return None
        return load_document(self.path, self._journal)

    @property
    def is_unchanged(self) -> bool:
        """Whether nobody else has written since this one read or wrote."""
        # A file that is gone holds nobody's work.
        return stamp_of(self.path) in (None, self._seen)

    def write(self, saved: SavedDocument) -> None:
        """Keep a document, as the one window on the volume if no other is.

        Raises
        ------
        DocumentError
            Where another window or machine has written since this one read or wrote.
        WriteError
            Where there is no room, or no leave to write.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"Cannot make the folder {self.path.parent}: {error.strerror or error}."
            ) from error
        with self._alone():
            self._require_unchanged()
            save_document(self.path, saved, self._journal)
            self._seen = stamp_of(self.path)
        self.claim()

    def set_aside(self) -> Path | None:
        """Move a file that cannot be read to a name of its own, so that it stays.

        Raises
        ------
        DocumentError, WriteError
            As `write`.
        """
        if stamp_of(self.path) is None:
            return None
        with self._alone():
            self._require_unchanged()
            kept = self._free_place()
            try:
                self._journal.move(journal_of(kept))
                os.replace(self.path, kept)
            except OSError as error:
                raise WriteError(
                    f"Cannot move {self.path} aside: {error.strerror or error}."
                ) from error
            self._seen = None
        return kept

    def write_aside(self, saved: SavedDocument) -> Path:
        """Keep a document under a name of its own; errors as `save_document`."""
        kept = self._free_place()
        save_document(kept, saved)
        return kept

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other window of this machine writes."""
        if self._pen is None:
            yield
            return
        try:
            self._pen.acquire(timeout=_PATIENCE)
        except (Timeout, OSError) as error:
            raise WriteError(
                f"Cannot write {self.path}: another window has been writing it for "
                f"{_PATIENCE:g} s. Close that window if it hangs."
            ) from error
        try:
            yield
        finally:
            self._pen.release()

    def _require_unchanged(self) -> None:
        if not self.is_unchanged:
            raise DocumentError(
                "Another window has changed this volume's labels since they were opened "
                "here. This window only looks now; take over to go on with what is saved."
            )

    def _free_place(self) -> Path:
        stem = self.path.name.removesuffix(SUFFIX)
        places = (
            self.path.with_name(f"{stem}.kept-{number}{SUFFIX}")
            for number in itertools.count(1)
        )
        return next(
            place for place in places if not (place.exists() or journal_of(place).exists())
        )


def _place(fingerprint: str, image: Path | None, is_beside: bool) -> Path:
    """Where a document lies: where it was kept before, else where it is wanted."""
    usual = data_folder() / "documents" / (fingerprint + SUFFIX)
    if image is None:
        return usual
    stem = image.name.partition(".")[0]
    beside = image.with_name(f"{stem}.{fingerprint[:_HASH_LETTERS]}{SUFFIX}")
    can_lie_beside = is_beside and os.access(image.parent, os.W_OK)
    wanted, other = (beside, usual) if can_lie_beside else (usual, beside)
    return other if other.exists() and not wanted.exists() else wanted


def _lock_of(path: Path, kind: str) -> FileLock | None:
    """A lock on a document's place that dies with the process; None if none is had.

    It lies with what is temporary: it is no one's document. Without it, a second window is
    still found out when it writes.
    """
    user = getattr(os, "getuid", lambda: "user")()
    folder = Path(tempfile.gettempdir()) / f"napari-dinomed-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        place = path.resolve()
    except (OSError, RuntimeError):
        return None
    name = hashlib.blake2b(str(place).encode(), digest_size=16).hexdigest()
    return FileLock(folder / f"{name}.{kind}")
