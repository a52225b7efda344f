"""Keeping a session's document on disk, as long as this is the window that may.

In: the document at every change. Out: its file; and what a user is told where there was
none to be read, or it could not be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError, DocumentError, ReadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.session.autosave import Autosave
    from napari_dinomed.session.file import SavedDocument
    from napari_dinomed.volume import Volume

    Say = Callable[[str], None]


class Keeping:
    """Reads and writes the document of one volume.

    Parameters
    ----------
    volume
        The volume.
    autosave
        Where the document is kept; nowhere if None.
    ousted
        Told that another window has the volume now.
    noticed, failed
        Tell the user.
    """

    def __init__(
        self,
        volume: Volume,
        autosave: Autosave | None,
        ousted: Callable[[], None],
        noticed: Say,
        failed: Say,
    ) -> None:
        self.is_saved = True
        self._volume, self._autosave = volume, autosave
        self._ousted, self._noticed, self._failed = ousted, noticed, failed
        self._is_unreadable = False

    @property
    def is_unchanged(self) -> bool:
        """Whether nobody else has written since this one read or wrote."""
        return self._autosave is None or self._autosave.is_unchanged

    def claim(self) -> bool:
        """Become the one window on the volume; False where another one is."""
        return self._autosave is None or self._autosave.claim()

    def release(self) -> None:
        """Let others have it."""
        if self._autosave is not None:
            self._autosave.release()

    def read(self) -> SavedDocument | None:
        """What was kept of the volume; None where nothing was, or it cannot be used."""
        if self._autosave is None:
            return None
        try:
            saved = self._autosave.read()
            if saved is not None:
                require_own(saved, self._volume, self._autosave.path.name)
        except DinomedError as error:
            self._is_unreadable = True
            self._noticed(f"{error} It was left as it is.")
            return None
        return saved

    def save(self, made: Callable[[], SavedDocument]) -> None:
        """Keep the document; what fails is said, stays in memory, and is tried again."""
        if self._autosave is None:
            return
        try:
            if self._is_unreadable:
                kept = self._autosave.set_aside()
                self._is_unreadable = False
                if kept is not None:
                    self._noticed(f"What could not be read is kept as {kept.name}.")
            self._autosave.write(made())
        except DocumentError as error:
            self.is_saved = False
            self._ousted()
            # Whoever has written since has the volume now.
            self._autosave.release()
            self._noticed(str(error))
        except DinomedError as error:
            self.is_saved = False
            self._failed(f"Not saved yet, and tried again at the next change: {error}")
        else:
            self.is_saved = True

    def save_aside(self, made: Callable[[], SavedDocument]) -> None:
        """Keep the document beside what another window wrote."""
        if self._autosave is None:
            return
        try:
            kept = self._autosave.write_aside(made())
            self._noticed(f"What was made here last is kept as {kept.name}.")
        except DinomedError as error:
            self._failed(f"Not saved: {error}")


def require_own(saved: SavedDocument, volume: Volume, name: str) -> None:
    """Raise where a document is not of a volume, or does not fit it.

    Raises
    ------
    DocumentError
        Where it is of another volume.
    ReadError
        Where its grid is another than its volume's.
    """
    saved.require_volume(volume.fingerprint, name)
    if saved.geometry.shape != volume.geometry.shape:
        raise ReadError(
            f"{name} is damaged: it says that its volume has {saved.geometry.shape} "
            f"voxels, but that has {volume.geometry.shape}."
        )
