"""Labelling one volume by a model: what a run does for each, in whatever process.

In: a volume's path. Out: its labels, staged beside their place, a picture, and what is to
be said of them.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_dinomed.annotation.labels import legend_of
from napari_dinomed.batch.done import Done
from napari_dinomed.batch.inputs import text_of
from napari_dinomed.batch.quality import measures_of
from napari_dinomed.engine.engine import Engine
from napari_dinomed.errors import DinomedError, WriteError
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.headless import prepare
from napari_dinomed.io import list_contents, read_volume, require_places, write_labels
from napari_dinomed.report import overlay_picture, write_picture
from napari_dinomed.taught.header import read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.headless import Job, OnEvent
    from napari_dinomed.io import Source
    from napari_dinomed.taught.header import Header
    from napari_dinomed.volume import Planes

    # A volume, and the place of its labels.
    Task: TypeAlias = tuple[Source, Path]

PICTURES, _STAGED = ".pictures", ".staged"
# State of a file that is not there.
NOTHING = (0, 0)
# Pixels of a picture in the report: it has many.
_HEIGHT = 160


@dataclass(frozen=True)
class Labelling:
    """How volumes are labelled.

    Parameters
    ----------
    model
        The model's file.
    out
        Folder of results, which is there.
    encoder, window, planes, device
        As for `prepare`.
    """

    model: Path
    out: Path
    encoder: str
    window: str | None
    planes: Planes
    device: str

    def require_encoder(self, header: Header) -> None:
        """Raise `ModelError` where another encoder would see than taught the model."""
        encoder = make_encoder(self.encoder, self.device, lambda _: None)
        seen = replace(header.sight, encoder=self.encoder, signature=encoder.signature)
        header.require_sight(seen)

    def label(self, source: Source, place: Path, on_event: OnEvent | None) -> Done:
        """Label a volume; whatever goes wrong is said in what is returned."""
        name = text_of(source.path)
        try:
            return self._label(source, place, on_event)
        except DinomedError as error:
            return Done("", name, error=str(error))
        except Exception as error:  # noqa: BLE001 - one volume is not the end of a run
            return Done("", name, error=f"{type(error).__name__}: {error}")

    def timed(self, task: Task, on_event: OnEvent | None) -> Done:
        """Label a volume, and note how long it took."""
        begun = time.perf_counter()
        done = self.label(*task, on_event)
        return replace(done, seconds=round(time.perf_counter() - begun, 2))

    def anywhere(self) -> Labelling:
        """The same, wherever one goes."""
        return replace(self, model=self.model.resolve(), out=self.out.resolve())

    def staged(self, place: Path) -> Path:
        """Where labels lie that are whole, but not yet noted and in their place."""
        return self.out / _STAGED / place.name

    def _label(self, source: Source, place: Path, on_event: OnEvent | None) -> Done:
        volume = read_volume(source.paths)
        require_places([place], volume)
        job = prepare(
            volume,
            self.encoder,
            self.window,
            self.device,
            on_event,
            self.planes,
            _engine_here(),
        )
        proposed = job.propose(self.model)
        labels = proposed.paste(volume.array.shape)
        staged = self.staged(place)
        _make(staged.parent)
        write_labels(staged, labels, volume, legend_of(proposed.legend))
        measures = measures_of(
            volume,
            labels,
            read_header(self.model).lessons,
            proposed.signs,
            is_unlike=bool(proposed.warnings),
        )
        self._show(place.name, job, labels, proposed.legend)
        job.close()
        return Done(
            "",
            text_of(source.path),
            place.name,
            measures,
            warnings=(*volume.notes, *_of_several(source), *proposed.warnings),
            written=state_of(staged),
            voxels=math.prod(volume.array.shape),
        )

    def _show(
        self, name: str, job: Job, labels: NDArray[Any], legend: tuple[Label, ...]
    ) -> None:
        """Keep a small picture for the report."""
        folder = self.out / PICTURES
        _make(folder)
        picture = overlay_picture(job.volume, job.window, labels, legend, _HEIGHT)
        write_picture(folder / f"{name}.jpg", picture)


@cache
def _engine_here() -> Engine:
    """The engine of this process: an encoder's weights are read once."""
    return Engine()


def _of_several(source: Source) -> Iterator[str]:
    """Said where a file has more than was labelled."""
    contents = list_contents(source)
    if contents.frames > 1:
        yield f"It has {contents.frames} time points, of which the first was labelled."
    if contents.channels > 1 and not contents.has_colours:
        yield f"It has {contents.channels} channels, of which the first was labelled."


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"Cannot make the folder {folder}: {error}") from error


def state_of(path: Path) -> tuple[int, int]:
    """Bytes of a file and when it was changed; zeros where it cannot be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return NOTHING
    return (stat.st_size, stat.st_mtime_ns)


def digest_of(path: Path) -> str:
    """What tells a file from others."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
