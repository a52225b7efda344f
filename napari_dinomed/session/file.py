"""A document on disk: ``.dinomed.json``, with all that is needed to go on or to repeat it.

In: a document and the volume that it is of. Out: JSON text that names no image and
no patient: the volume is known by the hash of its voxels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, InstanceOf, TypeAdapter, ValidationError

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.fitting import require_fits
from napari_dinomed.annotation.making import NOTHING, Deed, Made
from napari_dinomed.annotation.packing import Within
from napari_dinomed.errors import DinomedError, DocumentError, ReadError, WriteError
from napari_dinomed.io import Pick
from napari_dinomed.io.atomic import write_text
from napari_dinomed.io.format import FIRST
from napari_dinomed.io.source import require_regular
from napari_dinomed.session.journal import Journal
from napari_dinomed.volume import Geometry, Window

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".dinomed.json"
VERSION: Literal[1] = 1
# A click a second for three hours; more come from a program or from damage.
MOST_PROMPTS = 10_000


def _finite(window: Window) -> Window:
    if not (math.isfinite(window.low) and math.isfinite(window.high)):
        raise ValueError("expected grey values, got what is no number")
    return window


@dataclass(frozen=True)
class SavedDocument:
    """What is written.

    Parameters
    ----------
    volume
        Hash of voxels and grid.
    geometry
        The grid.
    window
        The grey values that the encoder sees.
    encoder_signature
        What identifies the encoder, weights' SHA-256 included; empty before encoding.
    document
        Everything made; voxels are (z, y, x) of the canonical grid.
    made
        How it was made, step by step; nothing where that was not kept.
    pick
        Which volume of its file it is of; a part's key is left out, it may name a study.
    versions
        Of the program and the libraries that had to do with it, by name.
    """

    volume: str
    geometry: Geometry
    window: Annotated[Window, AfterValidator(_finite)]
    encoder_signature: str
    document: Document
    made: InstanceOf[Made] = NOTHING
    pick: Pick = FIRST
    versions: Mapping[str, str] = field(default_factory=dict)
    version: Literal[1] = VERSION

    def require_volume(self, fingerprint: str, name: str) -> None:
        """Raise `DocumentError` where it is of another volume."""
        if self.volume != fingerprint:
            raise DocumentError(
                f"{name} belongs to another volume: its voxels or grid differ from this "
                "one's. Open the volume it was made on."
            )


@dataclass(frozen=True)
class _Deeds:
    made: tuple[Deed, ...] = ()


@dataclass(frozen=True)
class _Grid:
    geometry: Geometry


_GRID = TypeAdapter(_Grid)
_ADAPTER = TypeAdapter(SavedDocument)
_DEEDS = TypeAdapter(_Deeds)


def journal_of(path: Path) -> Path:
    """Where it lies how a document was made that is kept at every change."""
    return path.with_name(path.name.removesuffix(SUFFIX) + ".dinomed.jsonl")


def save_document(path: Path, saved: SavedDocument, journal: Journal | None = None) -> None:
    """Write a document; an existing file is replaced only once all is written.

    Parameters
    ----------
    path, saved
        Where, and what.
    journal
        What goes on telling how the document is made, which grows with every step; without
        one that can be written, all of that is written into the file.

    Raises
    ------
    WriteError
        Where the folder is missing, read-only or full.
    """
    rest = _ADAPTER.dump_json(saved, exclude={"made"}).decode().removesuffix("}")
    write_text(path, f"{rest},{_written(saved.made, journal)}}}")


def load_document(path: Path, journal: Journal | None = None) -> SavedDocument:
    """Read a document.

    Parameters
    ----------
    path
        Where it is.
    journal
        What tells how the document was made; else what lies beside it.

    Raises
    ------
    ReadError
        Where the file is missing, damaged, contradicts itself, or comes from a newer
        version.
    """
    values = _read_json(path)
    _require_known(values, path.name)
    try:
        # First: what the rest claims must lie on it.
        shape = _GRID.validate_python(values).geometry.shape
        made = _made(values, shape, journal or Journal(journal_of(path)))
        saved = _ADAPTER.validate_python({**values, "made": made}, context=Within(shape))
        require_fits(saved.document, saved.geometry.shape)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(path.name, f"{place or 'the file'}: {first['msg']}") from error
    except DinomedError as error:
        raise ReadError(f"{path.name} contradicts itself: {error}") from error
    return saved


def _written(made: Made, journal: Journal | None) -> str:
    if journal is not None:
        with suppress(WriteError):  # What is wrong with the journal must not cost labels.
            return f'"made_until":{journal.append(made)}'
    texts = ",".join(step.text for step in made.since(()))
    return f'"made":[{texts}]'


def _made(values: dict[str, Any], shape: tuple[int, int, int], journal: Journal) -> Made:
    """How a document was made; ValidationError where what is in its file is no such."""
    until = values.get("made_until")
    if isinstance(until, int) and not isinstance(until, bool):
        return journal.read(until, shape)
    return Made.of(_DEEDS.validate_python(values, context=Within(shape)).made)


def _read_json(path: Path) -> Any:
    require_regular(path)
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ReadError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path.name, str(error)) from error


def _require_known(values: Any, name: str) -> None:
    """Raise `ReadError` where this version cannot read it; looks at little of it."""
    if not isinstance(values, dict):
        raise _damaged(name, "expected an object")
    version = values.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ReadError(
            f"{name} was written by a newer version of napari-dinomed (format {version}; "
            f"this one reads {VERSION}). Update napari-dinomed to open it."
        )
    try:
        count = len(values["document"]["prompts"]["all"])
    except (KeyError, TypeError):
        return
    if count > MOST_PROMPTS:
        raise ReadError(
            f"{name} holds {count:,} prompts; expected at most {MOST_PROMPTS:,}. Use the "
            "labels of the volume instead of prompts for each voxel."
        )


def _damaged(name: str, why: str) -> ReadError:
    return ReadError(f"{name} is not a document of napari-dinomed, or is damaged: {why}.")
