"""A session on disk: ``.dinomed.json``, with all that is needed to go on or to repeat it.

It names no file and no patient: the volume is known by the hash of its voxels.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from napari_dinomed.errors import DinomedError, ReadError
from napari_dinomed.io.atomic import write_text
from napari_dinomed.session.state import Annotation, Choices
from napari_dinomed.settings import data_folder
from napari_dinomed.volume import Geometry, Window

SUFFIX = ".dinomed.json"


@dataclass(frozen=True)
class SessionFile:
    """What is written.

    Parameters
    ----------
    volume
        Hash of voxels and grid.
    geometry
        The grid.
    choices
        Encoder, window, readout, threshold.
    window
        The grey values that were encoded.
    encoder_signature
        What identifies the encoder, weights' SHA-256 included; empty before encoding.
    annotation
        Labels and prompts; voxels are (z, y, x) of the canonical grid.
    """

    volume: str
    geometry: Geometry
    choices: Choices
    window: Window
    encoder_signature: str
    annotation: Annotation
    version: Literal[1] = 1


_ADAPTER = TypeAdapter(SessionFile)


def save_session(path: Path, session: SessionFile) -> None:
    """Write a session; an existing file is replaced only once all is written.

    Raises
    ------
    WriteError
        Where the folder is missing, read-only or full.
    """
    write_text(path, _ADAPTER.dump_json(session, indent=1).decode())


def load_session(path: Path) -> SessionFile:
    """Read a session.

    Raises
    ------
    ReadError
        Where the file is missing, damaged, or of another version.
    """
    try:
        session = _ADAPTER.validate_json(path.read_bytes())
        session.annotation.prompts.require_inside(session.geometry.shape)
        session.annotation.prompts.require_labels(
            label.id for label in session.annotation.labels
        )
    except OSError as error:
        raise ReadError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ReadError(
            f"{path.name} is not a session of napari-dinomed, or was damaged: "
            f"{place or 'the file'}: {first['msg']}."
        ) from error
    except ReadError:
        raise
    except DinomedError as error:
        raise ReadError(f"{path.name} contradicts itself: {error}") from error
    return session


def free_place(path: Path) -> Path:
    """A name like this one that no file has yet."""
    stem = path.name.removesuffix(SUFFIX)
    numbered = (path.with_name(f"{stem}-{n}{SUFFIX}") for n in itertools.count(2))
    return next(place for place in numbered if not place.exists())


def place_for(source: Path | None, fingerprint: str) -> Path:
    """Where a volume's session is kept: beside its file, else with the settings."""
    if source is not None and os.access(source.parent, os.W_OK):
        stem = source.name.partition(".")[0]
        return source.with_name(stem + SUFFIX)
    folder = data_folder() / "sessions"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (fingerprint + SUFFIX)
