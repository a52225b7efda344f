"""Applying a model to one image that is too large to be held.

In: what is settled, and who works. Out: labels in the image's own store, and beside the
manifest a table; killed anywhere, the same command goes on and writes the same bytes.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_dinomed.amounts import in_usual_unit
from napari_dinomed.batch.held import held
from napari_dinomed.batch.run import MANIFEST, RESULTS
from napari_dinomed.batch.stack.block import BlockDone, BlockWork, dtype_of, name_of
from napari_dinomed.batch.stack.plan import StackPlan
from napari_dinomed.batch.stack.union import forget, write_numbers
from napari_dinomed.errors import DinomedError, WriteError
from napari_dinomed.io.atomic import write_text
from napari_dinomed.io.journal import Journal
from napari_dinomed.io.source import is_there
from napari_dinomed.io.stack import start_store
from napari_dinomed.taught.boxes import grid_count, grid_indices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dinomed.batch.hands import Hands
    from napari_dinomed.taught.boxes import Index3

    Task = tuple[str, Index3]

PLAN = "plan.json"
_PLANS = TypeAdapter(StackPlan)
_DONE = TypeAdapter(BlockDone)
# The manifest's first line.
_BEGUN = "begun"
_COLUMNS = ("label", "voxels", "volume", "unit", "doubt")


@dataclass(frozen=True)
class Step:
    """How far a run is: of so many tasks of a phase, so many are done."""

    phase: str
    done: int
    total: int


@dataclass(eq=False)
class StackRun:
    """A model that is applied to a stack.

    Parameters
    ----------
    plan
        What is settled.
    device
        Where to compute.
    overwrite
        Whether labels of another plan, that are there, may go.
    """

    plan: StackPlan
    device: str
    overwrite: bool = False

    def run(self, hands: Hands) -> Iterator[Step]:
        """Label all blocks, number their things, make coarser levels, list the labels.

        Raises
        ------
        WriteError
            Where labels of another plan are there, another run is at it, or there is no
            room.
        DinomedError
            Where a block cannot be read; what is done is kept.
        """
        plan, out = self.plan, self.plan.place.out
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"Cannot make the folder {out}: {error}") from error
        with held(out):
            self._begin()
            blocks = list(plan.blocks())
            yield from self._phase(hands, "labels", [("label", one) for one in blocks])
            if plan.instances:
                tasks = [("number", one) for one in blocks]
                if self._undone(tasks):
                    write_numbers(out, self._things())
                yield from self._phase(hands, "things", tasks)
            yield from self._levels(hands)
            for growing in plan.outputs:
                growing.finish(plan.version)
            forget(out)

    def write_results(self) -> list[list[str]]:
        """Write ``results.csv``, a row for each label."""
        plan, rows = self.plan, []
        done = [row for row in self._rows.values() if row.task.startswith("label ")]
        geometry = plan.open().volume.geometry
        for label in plan.legend:
            voxels = sum(row.voxels.get(label.id, 0) for row in done)
            either = sum(row.either.get(label.id, 0) for row in done)
            differing = sum(row.differing.get(label.id, 0) for row in done)
            doubt = f"{differing / either:.2f}" if either else ""
            size, unit = in_usual_unit(voxels * geometry.voxel_volume, geometry.unit)
            rows.append([label.name, str(voxels), f"{size:.6g}", unit, doubt])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *rows])
        write_text(plan.place.out / RESULTS, text.getvalue())
        return rows

    @cached_property
    def _journal(self) -> Journal[BlockDone]:
        return Journal(self.plan.place.out / MANIFEST, _DONE)

    @property
    def _rows(self) -> dict[str, BlockDone]:
        return {row.task: row for row in self._journal.rows()}

    def _begin(self) -> None:
        """Go on with what is there, or begin."""
        plan, place = self.plan, self.plan.place
        path = place.out / PLAN
        is_same = _read(path) == plan
        groups = [growing.place for growing in plan.outputs]
        has_begun = _BEGUN in self._rows and all(group.is_dir() for group in groups)
        if is_same and has_begun:
            return
        is_other = any(is_there(each, WriteError) for each in (path, *groups))
        if is_other and not is_same and not self.overwrite:
            raise WriteError(
                f"{groups[0]} or {path} is there already, of another model, region, level "
                "or version. Choose another --in-store name and another folder, or say "
                "--overwrite."
            )
        (place.out / MANIFEST).unlink(missing_ok=True)
        write_text(path, _PLANS.dump_json(plan, indent=1).decode())
        stack = plan.open()
        block, chunk = plan.block, plan.chunk
        start_store(place.labels_store, stack.version)
        plan.labels.begin(stack, plan.legend, dtype_of(plan), chunk, block)
        if plan.instances:
            plan.things.begin(stack, (), np.dtype(np.uint32), chunk, block)
        # Only now: killed before, groups of another plan may be there.
        self._journal.note(BlockDone(_BEGUN))

    def _phase(self, hands: Hands, phase: str, tasks: list[Task]) -> Iterator[Step]:
        """Do what is not done of some tasks."""
        undone, failed = self._undone(tasks), []
        total = len(tasks)
        count = total - len(undone)
        yield Step(phase, count, total)
        for task, done, _ in hands.each(BlockWork(self.plan, self.device).do, undone):
            if isinstance(done, BaseException):
                failed.append(f"{name_of(task)}: {done}")
                continue
            self._journal.note(done)
            count += 1
            yield Step(phase, count, total)
        if failed:
            raise DinomedError(
                f"{len(failed)} of {total} blocks failed, first {failed[0]} All others are "
                "done and kept: mend that, and begin again."
            )

    def _undone(self, tasks: list[Task]) -> list[Task]:
        done = self._rows
        return [task for task in tasks if name_of(task) not in done]

    def _things(self) -> dict[Index3, int]:
        """How many things each block has."""
        rows = self._rows
        blocks = self.plan.blocks()
        return {index: rows[name_of(("label", index))].things for index in blocks}

    def _levels(self, hands: Hands) -> Iterator[Step]:
        """Coarser levels, each of the one before."""
        for growing in self.plan.outputs:
            for level, shape in growing.levels():
                count = grid_count(shape, self.plan.block)
                what = f"thin/{level}/{growing.name}"
                tasks = [(what, index) for index in grid_indices(count)]
                yield from self._phase(hands, f"level {level}", tasks)


def _read(path: Path) -> StackPlan | None:
    """A plan that was written; None where there is none, or it is torn."""
    try:
        return _PLANS.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
