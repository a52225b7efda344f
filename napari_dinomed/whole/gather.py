"""What the volumes of a table look like: looked at now, or as `volumes embed` stored it.

In: rows. Out: the features of those that can be had. One that fails is said, and left out.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from napari_dinomed.engine.messages import Notice
from napari_dinomed.errors import DinomedError, ModelError, ReadError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.taught.header import Sight
from napari_dinomed.whole.embed import embedded
from napari_dinomed.whole.pooling import POOLING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import Event
    from napari_dinomed.headless import OnEvent
    from napari_dinomed.whole.eye import Eye
    from napari_dinomed.whole.table import Row

    Floats = NDArray[np.float32]
    OnFailure = Callable[[Row, str], None]

_SIGHT = TypeAdapter(Sight)


@dataclass(frozen=True, eq=False)
class Gathered:
    """Volumes and what they look like.

    Parameters
    ----------
    rows
        Those that could be looked at.
    features
        (rows, parts).
    sight
        How the first of them was seen.
    """

    rows: tuple[Row, ...]
    features: Floats
    sight: Sight

    def write(self, path: Path) -> None:
        """Write an ``.npz`` for other programs, and for `read_gathered`."""
        arrays = {
            "volumes": np.array([str(row.volume) for row in self.rows]),
            "features": self.features,
            "places": np.array([_absolute(row) for row in self.rows]),
            "pooling": np.array(POOLING),
            "sight": np.array(_SIGHT.dump_json(self.sight).decode()),
        }
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def gathered(
    rows: tuple[Row, ...], eye: Eye, on_event: OnEvent, on_failure: OnFailure
) -> Gathered:
    """Look at the volumes of a table.

    Parameters
    ----------
    rows, eye
        Which, and how.
    on_event
        Told of progress, and once of each thing that a user should know.
    on_failure
        Told of each volume that cannot be looked at, and why; of files that are not there
        before anything is encoded.

    Raises
    ------
    ModelError
        Where that is so of all.
    """
    present, say = [], _once(on_event)
    for row in rows:
        fault = row.fault
        if fault is None:
            present.append(row)
        else:
            on_failure(row, fault)
    found = []
    for row in present:
        seen = attempted(row, eye, say)
        if isinstance(seen, str):
            on_failure(row, seen)
        else:
            found.append((row, *seen))
    if not found:
        raise ModelError(f"None of {len(rows)} volumes can be looked at.")
    kept, features, sights = zip(*found, strict=True)
    return Gathered(kept, np.stack(features), sights[0])


def attempted(row: Row, eye: Eye, on_event: OnEvent) -> tuple[Floats, Sight] | str:
    """What a volume looks like, and how it was seen; or why that cannot be said."""
    try:
        return embedded(row, eye, on_event)
    except DinomedError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one volume is not the end of a run
        return f"{type(error).__name__}: {error}"


def read_gathered(path: Path, rows: tuple[Row, ...], on_failure: OnFailure) -> Gathered:
    """What `Gathered.write` wrote of the volumes of a table; none is looked at again.

    Parameters
    ----------
    path
        The file.
    rows
        Which volumes.
    on_failure
        Told of each that is not in it.

    Raises
    ------
    ReadError
        Where it is no such file, or is damaged.
    ModelError
        Where it has none of them, or was pooled as another version of this program does.
    """
    known, features, pooling, sight = _stored(path)
    if pooling != POOLING:
        raise ModelError(
            f"{path.name} was pooled by another version of this program. Write it again "
            "with 'volumes embed'."
        )
    places = {place: number for number, place in enumerate(known)}
    found = []
    for row in rows:
        if _absolute(row) in places:
            found.append((row, places[_absolute(row)]))
        else:
            on_failure(row, f"{path.name} has no features of it.")
    if not found:
        raise ModelError(f"{path.name} has features of none of {len(rows)} volumes.")
    kept, numbers = zip(*found, strict=True)
    return Gathered(kept, features[list(numbers)], sight)


def _stored(path: Path) -> tuple[list[tuple[str, ...]], Floats, int, Sight]:
    """Places, features, pooling and sight of a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            features = file["features"].astype(np.float32)
            places = [tuple(map(str, place)) for place in file["places"]]
            pooling = int(file["pooling"])
            sight = _SIGHT.validate_json(str(file["sight"]))
    except OSError as error:
        raise ReadError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ReadError(f"{path} is not what 'volumes embed' writes.") from error
    is_whole = features.ndim == 2 and len(features) == len(places)
    if not is_whole or not np.isfinite(features).all():
        raise ReadError(f"{path} is damaged. Write it again with 'volumes embed'.")
    return places, features, pooling, sight


def _absolute(row: Row) -> tuple[str, ...]:
    """What tells a row from others, wherever its table is named from."""
    volume, roi, *part = row.place
    return (os.path.abspath(volume), os.path.abspath(roi) if roi else "", *part)


def _once(on_event: OnEvent) -> OnEvent:
    """Say what is true of every volume once."""
    said: set[str] = set()

    def say(event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in said:
                return
            said.add(event.text)
        on_event(event)

    return say
