"""Small JSON files of others: read only where they are small, and files at all."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# The largest that is written here, a store's layout, takes less than a kilobyte.
_MOST_BYTES = 65_536


def require_file(path: Path) -> None:
    """Raise `OSError` where a path is no file: a pipe can be read for ever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(f"{path.name} is no ordinary file")


def read_small_json(path: Path) -> Any:
    """The values in a file.

    Raises
    ------
    OSError
        Where it cannot be read, or is no ordinary file.
    ValueError
        Where it is too large, or no JSON.
    """
    require_file(path)
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"expected at most {_MOST_BYTES} bytes")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
