"""What a run over volumes will take, before it begins.

In: the volumes that wait, and what was noted of others. Out: time and disk, and what these
figures are based on. A few volumes are read, nothing is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinomed.batch.inputs import files_of
from napari_dinomed.batch.labelling import state_of
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import Estimated, EstimateEncoding, open_request
from napari_dinomed.errors import DinomedError
from napari_dinomed.headless import VOLUME
from napari_dinomed.io import read_volume
from napari_dinomed.volume import choose_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_dinomed.batch.done import Done
    from napari_dinomed.batch.labelling import Labelling
    from napari_dinomed.io import Source
    from napari_dinomed.volume import Volume

# Volumes that are read for their grids; more would take as long as some are labelled.
_READ = 3
# Of a label, before it is packed.
_BYTES_PER_VOXEL = 1


@dataclass(frozen=True)
class Foreseen:
    """What a run will take.

    Parameters
    ----------
    seconds
        Of one process.
    disk
        Bytes of the labels.
    basis
        What that follows from, in words.
    """

    seconds: float
    disk: float
    basis: str


@dataclass(frozen=True)
class _Sample:
    """A few volumes that were read.

    Parameters
    ----------
    voxels
        Of all that wait.
    read
        How many were read.
    measured
        What two slices tell of the last of them, and its voxels; None where that was not
        asked, or all its features are there.
    """

    voxels: float
    read: int
    measured: tuple[Estimated, int] | None


def foreseen(
    sources: Sequence[Source], earlier: Sequence[Done], labelling: Labelling
) -> Foreseen:
    """What labelling volumes will take.

    Parameters
    ----------
    sources
        The volumes.
    earlier
        What was noted of volumes that were labelled in the same way.
    labelling
        How they will be.

    Raises
    ------
    DinomedError
        Where none of those that are tried can be read, or the encoder cannot be had.
    """
    known = [row for row in earlier if row.voxels and row.seconds]
    sample = _sampled(sources, None if known else labelling)
    grids = (
        "" if sample.read == len(sources) else f", by {sample.read} grids that were read"
    )
    if known:
        voxels = sum(row.voxels for row in known)
        seconds = sum(row.seconds for row in known) * sample.voxels / voxels
        disk = sum(row.written[0] for row in known) * sample.voxels / voxels
        return Foreseen(seconds, disk, f"as {len(known)} took that are done{grids}")
    disk = sample.voxels * _BYTES_PER_VOXEL
    if sample.measured is None:
        return Foreseen(0.0, disk, f"features are there already{grids}")
    told, voxels = sample.measured
    basis = (
        f"as slices of one took that were encoded now on {told.device}{grids}; reading and "
        "labelling come to it, and labels are packed"
    )
    return Foreseen(told.seconds * sample.voxels / voxels, disk, basis)


def _sampled(sources: Sequence[Source], labelling: Labelling | None) -> _Sample:
    """Read a few volumes, small and large ones; time one where there is a labelling."""
    sizes = {source: _bytes_of(source) for source in sources}
    read: dict[Source, int] = {}
    why = measured = None
    for source in _few(sorted(sources, key=lambda one: sizes[one])):
        try:
            volume = read_volume(source.paths)
        except DinomedError as error:
            why = error
            continue
        read[source] = math.prod(volume.array.shape)
        if labelling is not None and measured is None:
            told = _estimated(volume, labelling)
            measured = (told, read[source]) if told.slices else None
    if not read:
        raise why or DinomedError("Expected a volume that waits, got none.")
    voxels = sum(read.values())
    share = sum(sizes[source] for source in read) / max(1, sum(sizes.values()))
    return _Sample(voxels / share if share else voxels, len(read), measured)


def _few(ordered: Sequence[Source]) -> Iterator[Source]:
    """Some from the middle of each third."""
    count = min(_READ, len(ordered))
    for number in range(count):
        yield ordered[(2 * number + 1) * len(ordered) // (2 * count)]


def _bytes_of(source: Source) -> int:
    """Bytes of all files of a volume."""
    return sum(state_of(each)[0] for each in files_of(source) if each.is_file())


def _estimated(volume: Volume, labelling: Labelling) -> Estimated:
    """What encoding it takes here."""
    engine = Engine()
    engine.run(open_request(VOLUME, volume))
    window = choose_window(volume, labelling.window)
    name, device, planes = labelling.encoder, labelling.device, labelling.planes
    told: Estimated = engine.run(EstimateEncoding(VOLUME, name, window, device, planes))
    return told
