"""What a run has done, a line each: killed anywhere, the next run reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from napari_dinomed.errors import ReadError, WriteError
from napari_dinomed.io.source import is_there, require_regular

if TYPE_CHECKING:
    from pathlib import Path

Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Journal(Generic[Row]):
    """A file with a line of JSON for each thing that is done.

    Parameters
    ----------
    path
        The file, which need not be there.
    kind
        What a line is.
    """

    path: Path
    kind: TypeAdapter[Row]

    def note(self, row: Row) -> None:
        """Add a line, and have it on disk before anything else is done."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                # A line that was torn by a kill must not swallow this one.
                file.write(f"\n{self.kind.dump_json(row).decode()}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteError(f"Cannot write {self.path}: {error}") from error

    def rows(self) -> list[Row]:
        """All that is done; torn lines are left out.

        Raises
        ------
        ReadError
            Where something else than a file that may be read is in its place.
        """
        if not is_there(self.path):
            return []
        require_regular(self.path)
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ReadError(f"Cannot read {self.path}: {error}") from error
        rows = []
        for line in text.split("\n"):
            try:
                rows.append(self.kind.validate_json(line))
            except ValidationError:
                continue
        return rows
