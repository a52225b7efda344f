"""Writing so that a failure leaves the old file as it was."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there once all is written.

    The temporary name keeps the whole suffix, since writers go by it.

    Raises
    ------
    WriteError
        Where the folder is missing or read-only, or the disk is full.
    """
    stem, dot, suffix = path.name.partition(".")
    temporary = path.with_name(f".{stem}-{uuid.uuid4().hex[:8]}{dot}{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise WriteError(
            f"Cannot write {path}: {error.strerror or error}. Nothing was changed; "
            "choose a folder that exists, can be written, and has room."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder's path; it takes the place of ``path`` once all is written.

    Raises
    ------
    WriteError
        As `replacing`; the old folder, if any, stays as it was.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    old = temporary.with_name(temporary.name + "-old")
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    except OSError as error:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise WriteError(
            f"Cannot write {path}: {error.strerror or error}. Nothing was changed; "
            "choose a folder that exists, can be written, and has room."
        ) from error
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
