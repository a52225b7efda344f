"""A finishing tool at work on the label in use: shown first, then made one step.

In: a tool, and what was typed, chosen or drawn for it. Out: a draft on the *Segmentation*
layer, and at the user's word a step of the session. No widget is needed.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dinomed.annotation.by_hand import reshaped
from napari_dinomed.errors import DinomedError, FinishError
from napari_dinomed.finish import Subject, finished
from napari_dinomed.finish.lessons import taught_by_paint
from napari_dinomed.finish.options import Scale, made
from napari_dinomed.session.deferred import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.finish import Tool
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.session.session import Session

    Submit = Callable[[Callable[[], "Draft"]], Future["Draft"]]


@dataclass(frozen=True, eq=False)
class Draft:
    """What a tool makes of a label.

    Parameters
    ----------
    before, after
        The document as it is, and as it would be.
    added, removed
        Voxels.
    parts
        Voxels of each label that is made of a part of it.
    """

    before: Document
    after: Document
    added: int
    removed: int
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Job:
    """A tool that was asked for.

    Parameters
    ----------
    session, label
        Whose label.
    tool, options
        What is to be done with it.
    step
        What undo calls that.
    is_final
        Whether it is to be a step, and not a draft.
    """

    session: Session
    label: int
    tool: Tool[Any]
    options: Any
    step: str
    is_final: bool


class Finishing:
    """Uses tools on the label that is aimed at, one at a time.

    Parameters
    ----------
    bench
        The workbench.
    deliver
        Runs a function soon, on the viewer's thread.
    submit
        Runs a function elsewhere; on a thread of its own if None.
    """

    drafted = Signal(Draft)
    refused = Signal(str)
    ended = Signal()

    def __init__(
        self, bench: Workbench, deliver: Deliver, submit: Submit | None = None
    ) -> None:
        self._bench = bench
        self._deliver = deliver
        self._submit = submit or ThreadPoolExecutor(1, "finishing").submit
        self._asked: Job | None = None
        self._shown: Job | None = None
        self._future: Future[Draft] | None = None
        self.is_live = False
        bench.document_changed.connect(lambda _: self._on_document())
        bench.hand.aim_changed.connect(lambda label, _: self._on_aim(label))
        bench.bound.connect(self.cancel)
        bench.draft_undone.connect(self.cancel)

    @property
    def scale(self) -> Scale:
        """What amounts are counted in; DinomedError where there is no image."""
        geometry = self._bench.require().volume.geometry
        image = self._bench.image
        assert image is not None  # there is a session
        low, high = (float(limit) for limit in image.contrast_limits)
        return Scale(geometry.unit, geometry.spacing, (low, high))

    def draft(self, tool: Tool[Any], values: Mapping[str, Any]) -> None:
        """Show what a tool would make of the label; the last one asked for counts."""
        if self._asked is None or not self._asked.is_final:
            self.is_live = True
            try:
                self._begin(self._job(tool, values, is_final=False))
            except DinomedError as error:
                self._refuse(error)

    def apply(self, tool: Tool[Any], values: Mapping[str, Any]) -> None:
        """Use a tool on the label, once its last click is answered: one step."""

        def apply(session: Session) -> None:
            job = self._job(tool, values, is_final=True)
            work = partial(self._bench.attempt, partial(self._begin, job))
            session.after_answers(Deferred(job.step, work, job.label))

        if self._asked is None or not self._asked.is_final:
            self._bench.act(apply)

    def cancel(self) -> None:
        """Show the document again, and want nothing any more."""
        self._asked, self.is_live = None, False
        self._restore()
        self.ended.emit()

    def teach(self) -> None:
        """Let what brush and eraser corrected teach, as prompts do: one step."""

        def teach(session: Session) -> None:
            label, document = self._bench.hand.label, session.document
            name = f"paint teaches {document.find(label).name}"
            spacing = session.volume.geometry.spacing
            session.change(taught_by_paint(document, label, spacing), name)

        self._bench.act(teach)

    # Inside

    def _job(self, tool: Tool[Any], values: Mapping[str, Any], is_final: bool) -> Job:
        session, label = self._bench.require(), self._bench.hand.label
        session.document.require_open(label)
        options = made(tool.options, values, self.scale)
        step = tool.step.format(session.document.find(label).name)
        return Job(session, label, tool, options, step, is_final)

    def _begin(self, job: Job) -> None:
        document = job.session.document
        if not document.has(job.label):
            raise FinishError(f"Not done, since the label is gone: {job.step}.")
        document.require_open(job.label)
        if self._asked is not None and self._asked.is_final and self._asked is not job:
            raise FinishError(f"Still at work: {self._asked.step}. Apply it again then.")
        if self._future is not None:
            # Of drafts that wait for each other only the last is wanted.
            self._future.cancel()
        self._asked = job
        self._future = self._submit(partial(_drafted, job, document))
        self._future.add_done_callback(
            lambda future: self._deliver(lambda: self._take(job, document, future))
        )

    def _take(self, job: Job, begun: Document, future: Future[Draft]) -> None:
        if job is not self._asked or job.session is not self._bench.session:
            return
        if job.session.document is not begun:
            # What it was computed from has changed meanwhile.
            self._bench.attempt(partial(self._begin, job))
            return
        self._asked = None
        if job.is_final:
            self._bench.act(lambda session: session.change(future.result().after, job.step))
            self.cancel()
            return
        try:
            self._show(job, future.result())
        except DinomedError as error:
            self._refuse(error)

    def _show(self, job: Job, draft: Draft) -> None:
        sheet = self._bench.sheet
        if sheet is not None:
            self._shown = job
            sheet.show_draft(draft.before, draft.after)
            self.drafted.emit(draft)

    def _refuse(self, error: DinomedError) -> None:
        """There is nothing to show for what was asked; what is asked next may be shown."""
        self._restore()
        self.refused.emit(str(error))

    def _restore(self) -> None:
        shown, sheet, self._shown = self._shown, self._bench.sheet, None
        if shown is not None and shown.session is self._bench.session and sheet is not None:
            sheet.show_settled(shown.session.document)

    def _on_document(self) -> None:
        """A step was made: a draft is one of what was before."""
        is_applying = self._asked is not None and self._asked.is_final
        if self.is_live and not is_applying:
            self.cancel()

    def _on_aim(self, label: int) -> None:
        """Another label is in use: a draft of the one before is not wanted any more."""
        drafted = self._shown or self._asked
        if drafted is not None and not drafted.is_final and drafted.label != label:
            self.cancel()


def _drafted(job: Job, document: Document) -> Draft:
    """What a tool makes of a label of a document; errors as `finished`."""
    volume, own = job.session.volume, document.mask(job.label)
    others = [mask for n, mask in document.masks.items() if n != job.label]
    subject = Subject(
        document.find(job.label).name,
        own,
        tuple(others),
        volume.geometry.shape,
        volume.geometry.spacing,
        lambda box: np.asarray(volume.array[box]),
    )
    wanted, *parts = finished(job.tool, job.options, subject)
    after = reshaped(document, job.label, wanted, parts)
    now = after.mask(job.label)
    counts = tuple(part.count for part in parts)
    return Draft(document, after, (now - own).count, (own - now).count, counts)
