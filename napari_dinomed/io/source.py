"""What a user points at: a file, a folder, the slices of a stack, or an address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError, ReadError
from napari_dinomed.io.atomic import recover

if TYPE_CHECKING:
    from collections.abc import Sequence

_REMOTE = ("http://", "https://", "s3://", "gs://")


@dataclass(frozen=True)
class Source:
    """Where voxels are.

    Parameters
    ----------
    paths
        One file or folder, or the files of a stack.
    url
        Address of a remote store, instead.
    """

    paths: tuple[Path, ...] = ()
    url: str = ""

    @classmethod
    def of(cls, given: Path | str | Sequence[Path | str] | Source) -> Source:
        """A source of a path, an address, or several paths.

        Raises
        ------
        ReadError
            Where nothing is given, or something is not there.
        """
        if isinstance(given, Source):
            return given
        if isinstance(given, str) and given.startswith(_REMOTE):
            return cls(url=given)
        several = [given] if isinstance(given, str | Path) else list(given)
        paths = tuple(Path(path) for path in several)
        if not paths:
            raise ReadError("Expected a file or a folder, got none.")
        for path in paths:
            if not is_there(path):
                # A folder that was being replaced when its writer was killed.
                recover(path.parent)
            if not is_there(path):
                raise ReadError(f"There is no file {path}.")
            require_regular(path)
        return cls(paths)

    def absolute(self) -> Source:
        """The same, wherever one goes."""
        return Source(tuple(path.absolute() for path in self.paths), self.url)

    @property
    def path(self) -> Path:
        """The file or folder, or the first of several."""
        return self.paths[0]

    @property
    def name(self) -> str:
        """What to call it."""
        if self.url:
            return self.url.rstrip("/").rpartition("/")[2]
        place = self.path if len(self.paths) == 1 else self.path.parent
        return place.name or place.resolve().name

    def __str__(self) -> str:
        return self.name


def is_there(path: Path, family: type[DinomedError] = ReadError) -> bool:
    """Whether something is at a path.

    Parameters
    ----------
    path
        The path.
    family
        What is raised where that cannot be told.

    Raises
    ------
    DinomedError
        Where the name is too long for the disk, or a folder may not be looked into.
    """
    try:
        if path.exists():
            return True
        # Where its folder is not there either, the system did not look at the name.
        near = next((folder for folder in path.parents if folder.exists()), path.parent)
        (near / path.name).exists()
        return False
    except OSError as error:
        raise family(
            f"Cannot look for {path}: {error.strerror or error}. Give a shorter name, or "
            "one in a folder that is yours."
        ) from error


def require_regular(path: Path) -> None:
    """Raise `ReadError` where reading could wait for ever, or never end."""
    if is_there(path) and not (path.is_file() or path.is_dir()):
        raise ReadError(
            f"Expected a file or a folder, but {path.name} is a pipe, a socket or a "
            "device. Copy what comes out of it into a file and open that."
        )
