"""How a document was made, line by line in a file that is only ever appended to.

In: what was made so far. Out: where the line of its last deed begins, which the document's
own file keeps. Each line says where the one before it begins: after steps back lines go on
from an earlier one. Nothing points at a line before all of it is written, so that what a
kill cut short is passed over.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO
from weakref import WeakKeyDictionary

from napari_dinomed.annotation.making import NOTHING
from napari_dinomed.errors import DinomedError, ReadError, WriteError
from napari_dinomed.io.source import require_regular

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinomed.annotation.making import Made

# Bytes at its end that tell a file from another.
_TELLING = 64
# What the first line goes on from.
_NOWHERE = -1
_BEFORE, _DEED = b'{"after":', b',"deed":'


class Journal:
    """Deeds of one document, and of all that it was before.

    Parameters
    ----------
    path
        The file; there need be none yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Where the line begins that ends what was made.
        self._begins: WeakKeyDictionary[Made, int] = WeakKeyDictionary()
        # Where it ended, and its last bytes then.
        self._length, self._tail = 0, b""

    def append(self, made: Made) -> int:
        """Write what is not there yet; where the line of the last deed begins.

        Raises
        ------
        WriteError
            Where there is no room, or no leave to write.
        """
        self._forget_another()
        steps = made.since(self._begins)
        if steps:
            try:
                self._write(steps)
            except (OSError, ReadError) as error:
                raise WriteError(f"Cannot write {self._path}: {error}.") from error
        return self._begins.get(made, _NOWHERE)

    def _write(self, steps: list[Made]) -> None:
        if self._path.exists():
            require_regular(self._path)
        lines, begins = [], {}
        with self._path.open("ab+") as file:
            place = file.seek(0, os.SEEK_END)
            if place and _end_of(file, place)[-1:] != b"\n":
                file.write(b"\n")  # What a kill cut short.
                place += 1
            before = self._begins.get(steps[0].before or NOTHING, _NOWHERE)
            for step in steps:
                line = _BEFORE + b"%d" % before + _DEED + step.text.encode() + b"}\n"
                begins[step] = before = place
                place += len(line)
                lines.append(line)
            # Not synced: that took as long as the rest of a save; a power cut before the
            # system writes it takes how labels were made, not the labels.
            file.write(b"".join(lines))
        self._begins.update(begins)
        self._length, self._tail = place, lines[-1][-_TELLING:]

    def read(self, begin: int, shape: tuple[int, int, int]) -> Made:
        """What was made up to the line that begins there; nothing where it is damaged.

        That of a volume of this shape (z, y, x): what claims more is damaged.
        """
        self._forget_another()
        try:
            require_regular(self._path)
            data = self._path.read_bytes()
            lines = _lines_back(data, begin)
            made, begins = NOTHING, {}
            for place, text in reversed(lines):
                made = made.with_text(text)
                begins[made] = place
            made.require_within(shape)
        except (OSError, DinomedError, ValueError):
            return NOTHING
        self._begins.update(begins)
        self._length, self._tail = len(data), data[-_TELLING:]
        return made

    def move(self, path: Path) -> None:
        """Give the file another name, if there is one; OSError where that fails."""
        if self._path.exists():
            os.replace(self._path, path)

    def _forget_another(self) -> None:
        """Somebody removed the file, or put another one in its place."""
        if not self._length:
            return
        try:
            require_regular(self._path)
            with self._path.open("rb") as file:
                is_same = _end_of(file, self._length).endswith(self._tail)
        except (OSError, ReadError):
            is_same = False
        if not is_same:
            self._begins.clear()
            self._length = 0


def _end_of(file: BinaryIO, length: int) -> bytes:
    """The last bytes of so many; fewer where there are none."""
    file.seek(max(0, length - _TELLING))
    return file.read(min(length, _TELLING))


def _lines_back(data: bytes, begin: int) -> list[tuple[int, str]]:
    """Lines from one back to the first: where each begins, and its deed.

    Raises
    ------
    ValueError
        Where it leads to no line.
    """
    lines = []
    while begin != _NOWHERE:
        if begin and data[begin - 1 : begin] != b"\n":
            raise ValueError(f"no line begins at {begin}")
        before, is_line, deed = data[begin : data.index(b"}\n", begin)].partition(_DEED)
        if begin < 0 or not (is_line and before.startswith(_BEFORE)):
            raise ValueError(f"no line begins at {begin}")
        lines.append((begin, deed.decode()))
        before_it = int(before.removeprefix(_BEFORE))
        if before_it >= begin:
            raise ValueError(f"the line at {begin} goes on from a later one")
        begin = before_it
    return lines
