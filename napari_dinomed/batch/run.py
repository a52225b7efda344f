"""Applying a model to many volumes: each one's labels first, then a line that it is done.

In: a model, and pairs of a volume and the place of its labels. Out: label files, and
``manifest.jsonl``, which says what is done; killed anywhere, the same command goes on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from napari_dinomed import __version__
from napari_dinomed.annotation.labels import legend_of
from napari_dinomed.batch.done import Done
from napari_dinomed.batch.held import held
from napari_dinomed.batch.page import report_of
from napari_dinomed.batch.quality import Measures, measures_of
from napari_dinomed.errors import DinomedError, WriteError
from napari_dinomed.headless import prepare
from napari_dinomed.io import read_volume, require_places, write_labels
from napari_dinomed.io.atomic import write_text
from napari_dinomed.report import overlay_picture, write_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.features.stack import Planes
    from napari_dinomed.headless import Job, OnEvent

MANIFEST, RESULTS, REPORT = "manifest.jsonl", "results.csv", "report.html"
PICTURES = ".pictures"
# Pixels of a picture in the report: it has many.
_HEIGHT = 160


_ADAPTER = TypeAdapter(Done)


@dataclass(eq=False)
class Batch:
    """A model that is applied to volumes.

    Parameters
    ----------
    model
        The model's file.
    out
        Folder of results; made where it is missing.
    encoder, window, planes, device
        As for `prepare`.
    overwrite
        Whether labels may be replaced that this program did not write there, or that were
        changed since.
    """

    model: Path
    out: Path
    encoder: str
    window: str | None
    planes: Planes
    device: str
    overwrite: bool = False
    _tasks: dict[Path, str] = field(default_factory=dict)

    def waiting(self, places: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
        """The volumes that are not done, each with the place of its labels."""
        done = {row.task for row in self._rows() if not row.error}
        self._tasks = {place: self._task(source, place) for source, place in places}
        return [
            (source, place)
            for source, place in places
            if self._tasks[place] not in done or not place.exists()
        ]

    def run(self, waiting: list[tuple[Path, Path]], on_event: OnEvent) -> Iterator[Done]:
        """Label volumes, one after another; a volume's own failure is a row of its own.

        Raises
        ------
        WriteError
            Where the folder of results cannot be written, or another run is at it.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"Cannot make the folder {self.out}: {error}") from error
        with held(self.out):
            yield from self._run(waiting, on_event)

    def _run(self, waiting: list[tuple[Path, Path]], on_event: OnEvent) -> Iterator[Done]:
        for source, place in waiting:
            begun, task = time.perf_counter(), self._tasks[place]
            try:
                self._require_own(place)
                done = self._label(source, place, on_event)
            except DinomedError as error:
                done = Done(task, _text_of(source), error=str(error))
            except Exception as error:  # noqa: BLE001 - one volume is not the end of a run
                said = f"{type(error).__name__}: {error}"
                done = Done(task, _text_of(source), error=said)
            seconds = time.perf_counter() - begun
            done = replace(done, task=task, seconds=round(seconds, 2))
            self._note(done)
            yield done

    def write_results(self) -> list[Done]:
        """Write ``results.csv``, a row for each label of each volume, and the report."""
        latest = {row.task: row for row in self._rows()}
        rows = [latest[task] for task in self._tasks.values() if task in latest]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["volume", "labels", *Measures.COLUMNS, "warnings", "error"])
        for row in rows:
            said = " ".join(row.warnings)
            nothing = [[""] * len(Measures.COLUMNS)]
            for cells in [one.cells() for one in row.measures] or nothing:
                writer.writerow([row.source, row.labels, *cells, said, row.error])
        write_text(self.out / RESULTS, text.getvalue())
        write_text(self.out / REPORT, report_of(rows, self.out / PICTURES))
        return rows

    def _label(self, source: Path, place: Path, on_event: OnEvent) -> Done:
        volume = read_volume(source)
        require_places([place], volume)
        job = prepare(volume, self.encoder, self.window, self.device, on_event, self.planes)
        proposed = job.propose(self.model)
        labels = proposed.paste(volume.array.shape)
        write_labels(place, labels, volume, legend_of(proposed.legend))
        measures = measures_of(volume, labels, proposed.legend, proposed.doubts)
        self._show(place.name, job, labels, proposed.legend)
        return Done(
            "",
            _text_of(source),
            place.name,
            measures,
            warnings=proposed.warnings,
            written=_state_of(place),
        )

    def _require_own(self, place: Path) -> None:
        """Raise `WriteError` where there are labels that are not as they were written."""
        if self.overwrite or not place.exists():
            return
        written = {row.labels: row.written for row in self._rows() if row.labels}
        if written.get(place.name) != _state_of(place):
            raise WriteError(
                f"{place} is there already, and not as a run left it: somebody may "
                "have corrected it. Move it away, or say --overwrite."
            )

    def _show(
        self, name: str, job: Job, labels: NDArray[Any], legend: tuple[Label, ...]
    ) -> None:
        """Keep a small picture for the report."""
        folder = self.out / PICTURES
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(f"Cannot make the folder {folder}: {error}") from error
        picture = overlay_picture(job.volume, job.window, labels, legend, _HEIGHT)
        write_picture(folder / f"{name}.jpg", picture)

    @cached_property
    def _digest(self) -> str:
        return hashlib.blake2b(self.model.read_bytes(), digest_size=16).hexdigest()

    def _task(self, source: Path, place: Path) -> str:
        """What identifies the labelling of a volume, as it lies on disk now."""
        files = [source] if source.is_file() else sorted(source.rglob("*"))
        about = (
            str(source.resolve()),
            place.name,
            [(file.name, *_state_of(file)) for file in files],
            self._digest,
            self.window,
            self.planes,
            __version__,
        )
        return hashlib.blake2b(repr(about).encode(), digest_size=16).hexdigest()

    def _note(self, done: Done) -> None:
        """Add a line to the manifest, and have it on disk before anything else is done."""
        try:
            with (self.out / MANIFEST).open("a", encoding="utf-8") as file:
                # A line that was torn by a kill must not swallow this one.
                file.write(f"\n{_ADAPTER.dump_json(done).decode()}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteError(f"Cannot write {self.out / MANIFEST}: {error}") from error

    def _rows(self) -> list[Done]:
        """What the manifest says is done; torn lines are left out."""
        path = self.out / MANIFEST
        if not path.exists():
            return []
        rows = []
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                rows.append(_ADAPTER.validate_json(line))
            except ValidationError:
                continue
        return rows


def _state_of(path: Path) -> tuple[int, int]:
    """Bytes of a file and when it was changed; zeros where it cannot be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_size, stat.st_mtime_ns)


def _text_of(path: Path) -> str:
    """A path as text that can be written, also where its bytes are no text."""
    return os.fsencode(path).decode("utf-8", errors="replace")
