"""Applying a model to many volumes: each one's labels first, then a line that it is done.

In: a model, and pairs of a volume and the place of its labels. Out: label files, and
``manifest.jsonl``, which says what is done; killed anywhere, the same command goes on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from napari_dinomed import __version__
from napari_dinomed.batch.done import Done
from napari_dinomed.batch.hands import Here
from napari_dinomed.batch.held import held
from napari_dinomed.batch.inputs import files_of, text_of
from napari_dinomed.batch.labelling import (
    NOTHING,
    PICTURES,
    Labelling,
    digest_of,
    state_of,
)
from napari_dinomed.batch.page import report_of
from napari_dinomed.batch.quality import Measures
from napari_dinomed.errors import DinomedError, WriteError
from napari_dinomed.io.atomic import write_text
from napari_dinomed.io.journal import Journal
from napari_dinomed.review import Case, Queue
from napari_dinomed.taught.header import read_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_dinomed.batch.hands import Hands
    from napari_dinomed.batch.labelling import Task
    from napari_dinomed.headless import OnEvent
    from napari_dinomed.io import Source

MANIFEST, RESULTS, REPORT = "manifest.jsonl", "results.csv", "report.html"

_ADAPTER = TypeAdapter(Done)
_HERE = Here()


@dataclass(eq=False)
class Batch:
    """A model that is applied to volumes.

    Parameters
    ----------
    labelling
        How, and where to.
    overwrite
        Whether labels may be replaced that this program did not write there, or that were
        changed since.
    """

    labelling: Labelling
    overwrite: bool = False
    _tasks: dict[Path, str] = field(default_factory=dict)

    def waiting(self, places: list[Task]) -> list[Task]:
        """The volumes that are not done, each with the place of its labels."""
        written = self._written()
        self._tasks = {place: self._task(source, place) for source, place in places}
        return [
            (source, place)
            for source, place in places
            if not self._is_there(place, written.get(place.name))
        ]

    def _is_there(self, place: Path, last: Done | None) -> bool:
        """Whether a place has its labels, or will have before anything else is done.

        Labels that were corrected since are still those of the volume.
        """
        if last is None or last.task != self._tasks[place]:
            return False
        return place.exists() or state_of(self.labelling.staged(place)) == last.written

    def _written(self) -> dict[str, Done]:
        """Who wrote labels last, by their file's name."""
        return {row.labels: row for row in self._journal.rows() if row.labels}

    @property
    def done(self) -> list[Done]:
        """What was noted of those that were asked for and have their labels."""
        tasks = set(self._tasks.values())
        return [row for row in self._written().values() if row.task in tasks]

    @property
    def out(self) -> Path:
        """Folder of results."""
        return self.labelling.out

    @property
    def _journal(self) -> Journal[Done]:
        return Journal(self.out / MANIFEST, _ADAPTER)

    def run(
        self, waiting: list[Task], on_event: OnEvent, hands: Hands = _HERE
    ) -> Iterator[Done]:
        """Label volumes; a volume's own failure is a row of its own.

        Parameters
        ----------
        waiting
            Volumes, each with the place of its labels.
        on_event
            Told of progress, where that is made in this process.
        hands
            Who labels.

        Raises
        ------
        WriteError
            Where the folder of results cannot be written, or another run is at it.
        ClusterError
            Where those who label are gone; what is done is kept.
        ModelError
            Where another encoder would see than taught the model.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"Cannot make the folder {self.out}: {error}") from error
        with held(self.out):
            self._finish_staged()
            # Nobody else notes anything while the folder is held, and no place comes twice.
            why_not = partial(self._why_not, self._written())
            # Workers may run in another folder.
            own = {}
            for source, place in waiting:
                why = why_not(source, place)
                if why:
                    yield self._noted(place, Done("", text_of(source.path), error=why))
                else:
                    own[source.absolute(), place.resolve()] = (source, place)
            labelling = self.labelling if hands.is_here else self.labelling.anywhere()
            if own:
                _require_encoder(labelling, hands)
            work = partial(labelling.timed, on_event=on_event if hands.is_here else None)
            for task, done, worker in hands.each(work, own):
                source, place = own[task]
                row = _died(done) if isinstance(done, BaseException) else done
                # Somebody may have corrected the old labels meanwhile.
                if not row.error and (why := why_not(source, place)):
                    row = Done("", "", error=why)
                row = replace(row, source=text_of(source.path), worker=worker)
                yield self._noted(place, row)

    def _noted(self, place: Path, done: Done) -> Done:
        """Note that a volume is done, and only then put its labels in their place."""
        done = replace(done, task=self._tasks[place])
        self._journal.note(done)
        if not done.error:
            self._put(place)
        return done

    def _put(self, place: Path) -> None:
        """Put staged labels in their place; killed anywhere, `_finish_staged` does it."""
        try:
            if place.is_dir():
                shutil.rmtree(place)
            self.labelling.staged(place).replace(place)
        except OSError as error:
            raise WriteError(f"Cannot write {place}: {error}") from error

    def _finish_staged(self) -> None:
        """Put labels in their place that a killed run noted and did not come to."""
        left = {NOTHING}
        for row in self._journal.rows():
            place = self.out / row.labels
            staged = self.labelling.staged(place)
            is_noted = bool(row.labels) and state_of(staged) == row.written
            may_go = self.overwrite or state_of(place) in left
            if is_noted and may_go and staged.exists():
                self._put(place)
            left.add(row.written)

    def write_results(self) -> list[Done]:
        """Write ``results.csv``, a row for each label of each volume, and the report."""
        rows = self._reported()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", "labels", *Measures.COLUMNS, "warnings", "error"])
        for row in rows:
            said = " ".join(row.warnings)
            nothing = [[""] * len(Measures.COLUMNS)]
            for cells in [one.cells() for one in row.told] or nothing:
                writer.writerow([row.source, row.labels, *cells, said, row.error])
        write_text(self.out / RESULTS, text.getvalue())
        write_text(self.out / REPORT, report_of(rows, self.out / PICTURES))
        cases = tuple(_case_of(row) for row in rows)
        Queue(str(self.labelling.model.resolve()), cases).write(self.out)
        return rows

    def _reported(self) -> list[Done]:
        """The latest about each volume: of this run, then of those whose labels stay."""
        latest = {row.task: row for row in self._journal.rows()}
        own = [latest[task] for task in self._tasks.values() if task in latest]
        known = {row.task for row in own} | set(self._tasks.values())
        names = {row.labels for row in own}
        return own + [
            row
            for name, row in self._written().items()
            if row.task not in known and name not in names and (self.out / name).exists()
        ]

    def _why_not(self, written: Mapping[str, Done], source: Source, place: Path) -> str:
        """Why labels may not be put in a place, by who wrote there; empty if they may."""
        if self.overwrite or not place.exists():
            return ""
        last = written.get(place.name)
        if last is None or last.written != state_of(place):
            return (
                f"{place} is there already, and not as a run left it: somebody may "
                "have corrected it. Move it away, or say --overwrite."
            )
        if text_of(Path(last.source).resolve()) != text_of(source.path.resolve()):
            return (
                f"{place} has the labels of another volume, {last.source}. Choose another "
                "folder for the results, or say --overwrite."
            )
        return ""

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.labelling.model)

    def _task(self, source: Source, place: Path) -> str:
        """What identifies the labelling of a volume, as it lies on disk now."""
        about = (
            str(source.path.resolve()),
            place.name,
            [(file.name, *state_of(file)) for file in files_of(source)],
            self._digest,
            self.labelling.window,
            self.labelling.planes,
            __version__,
        )
        return hashlib.blake2b(repr(about).encode(), digest_size=16).hexdigest()


def _require_encoder(labelling: Labelling, hands: Hands) -> None:
    """Have those who label look at the encoder, before they have encoded anything."""
    header = read_header(labelling.model)
    for _, found, _ in hands.each(labelling.require_encoder, [header]):
        if isinstance(found, DinomedError):
            raise found


def _died(error: BaseException) -> Done:
    """What is said of a volume of which workers died, again and again."""
    return Done("", "", error=f"{type(error).__name__}: {error}")


def _case_of(row: Done) -> Case:
    """A volume as somebody is to review it."""
    volume, reasons = str(Path(row.source).resolve()), "; ".join(row.reasons)
    return Case(row.task, volume, row.labels, row.light, row.oddness, reasons)
