"""Walking through what a model labelled without a click: accept, correct, reject.

In: a folder of results. Out: a verdict on each case, the worst first; what was corrected is
saved in its place, and the model learns from it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QGridLayout, QGroupBox, QLabel, QVBoxLayout

from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.controls import button
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.opening import open_paths
from napari_dinomed.review import Review, Verdict
from napari_dinomed.session.deferred import Deferred
from napari_dinomed.taught.header import read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.review import Case

_EXPLAINED = "What 'apply' labelled, the worst first"


class ReviewBox(QGroupBox):
    """One case after another, and what is said of each."""

    def __init__(self, workbench: Workbench) -> None:
        super().__init__("Review")
        self._workbench = workbench
        self._review: Review | None = None
        self._case: Case | None = None
        self._image: Image | None = None
        self._blank: Document | None = None
        self._proposed: Document | None = None
        self._skipped: set[str] = set()
        self.about = QLabel(_EXPLAINED)
        self.about.setWordWrap(True)
        self.open = button("Results…", "Open a folder that 'apply' wrote", self._choose)
        accept, reject = KEYMAP[Action.ACCEPT], KEYMAP[Action.REJECT]
        self.accept = button(
            "Accept",
            "These labels are right. If you corrected them, they are saved and the model "
            f"learns from them ({accept.shown})",
            self._accept,
        )
        self.reject = button(
            "Reject", f"These labels are of no use ({reject.shown})", self._reject
        )
        self.later = button("Later", "Go to the next, and come back to it", self._later)
        layout = QGridLayout(self)
        layout.addWidget(self.about, 0, 0, 1, 2)
        for number, each in enumerate((self.open, self.later, self.accept, self.reject)):
            layout.addWidget(each, 1 + number // 2, number % 2)
        # The window runs while the next case is read; keys cannot wait for that in a key.
        workbench.judged.connect(
            lambda is_right: workbench.turns.soon(
                self._accept if is_right else self._reject
            )
        )
        self._show()

    def take_up(self, folder: Path) -> None:
        """Begin with the worst case of a folder that nobody has looked at; errors said."""

        def begin() -> None:
            self._review = Review.open(folder)
            self._skipped = set()
            self._rise()
            self._next()

        self._workbench.attempt(begin)

    def _rise(self) -> None:
        """Go to the top of the panel: what is said of a case is read at each."""
        above = self.parentWidget()
        boxes = above.layout() if above is not None else None
        if isinstance(boxes, QVBoxLayout):
            boxes.insertWidget(0, self)

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open results of 'apply'")
        if folder:
            self.take_up(Path(folder))

    def _next(self) -> None:
        """Show the next case, if there is one."""
        self._leave()
        review = self._review
        left = [] if review is None else list(review.waiting)
        fresh = [case for case in left if case.task not in self._skipped]
        if not fresh:
            self._skipped = set()
        self._case = next(iter(fresh or left), None)
        if self._case is not None:
            self._show_case(self._case)
        self._show()

    def _show_case(self, case: Case) -> None:
        """Open a case's volume, and its labels as the document's start."""
        others = list(self._workbench.images)
        open_paths(self._workbench, [case.volume], partial(self._show_labels, case, others))

    def _show_labels(self, case: Case, others: list[Image]) -> None:
        """Of a case whose volume was opened now, make the labels the document's start."""
        workbench = self._workbench
        session, image = workbench.session, workbench.image
        is_other = self._case is not case or image in others
        if session is None or self._review is None or is_other:
            return
        self._image = image
        # What somebody began to correct is taken up where it was left.
        if session.document.is_blank and case.labels:
            self._blank = session.document
            workbench.exchange.continue_from_file(self._review.folder / case.labels)
            self._proposed = session.document

    def _leave(self) -> None:
        """Close the case that is open; labels that nobody changed leave no document."""
        layers, image = self._workbench.viewer.layers, self._image
        session = self._workbench.session
        blank = self._blank
        if session is not None and blank is not None and self._is_untouched:
            self._workbench.attempt(partial(session.change, blank, "end of review"))
        self._case = self._image = self._blank = self._proposed = None
        if image is not None and image in layers:
            self._workbench.unbind()
            layers.remove(image)

    @property
    def _is_at_hand(self) -> bool:
        """Whether the image that is worked on is the case's, and its labels are there."""
        return self._image is not None and self._workbench.image == self._image

    @property
    def _is_untouched(self) -> bool:
        """Whether labels are as they were opened."""
        session, proposed = self._workbench.session, self._proposed
        return (
            self._is_at_hand
            and session is not None
            and proposed is not None
            and session.document.masks == proposed.masks
        )

    def _accept(self) -> None:
        self._workbench.attempt(self._accepted)

    def _accepted(self) -> None:
        session, case = self._workbench.session, self._case
        if case is not None and not self._is_at_hand:
            raise DinomedError(
                f"{Path(case.volume).name} is not worked on now: wait until it is open, "
                "or choose it under Image."
            )
        if session is not None and case is not None:
            name = f"accepting {Path(case.volume).name}"
            work = partial(self._workbench.attempt, partial(self._take_as_seen, case))
            session.after_answers(Deferred(name, work))

    def _take_as_seen(self, case: Case) -> None:
        """Accept a case's labels as they are now."""
        review = self._review
        if review is None or self._case is not case:
            return
        if self._is_untouched:
            self._decide(Verdict.ACCEPTED)
            return
        if case.labels:
            self._workbench.exchange.save_labels(review.folder / case.labels)
        self._teach(Path(review.queue.model))

    def _teach(self, model: Path) -> None:
        """Have the model learn what was corrected; then go on."""
        workbench = self._workbench
        session = workbench.require()
        encoder = encoder_of(model)
        if session.document.choices.encoder != encoder:
            workbench.choose_encoder(encoder)
        labels = tuple(label.id for label in session.document.labels)
        case = self._case

        def learnt() -> None:
            if self._case is case:
                workbench.turns.soon(partial(self._say, Verdict.CORRECTED))

        session.models.remember(model, labels, learnt)
        self.about.setText(f"{model.stem} learns from what you corrected …")

    def _reject(self) -> None:
        self._if_seen(partial(self._decide, Verdict.REJECTED))

    def _if_seen(self, judge: Callable[[], None]) -> None:
        """Judge the case, but not one that is only about to be shown."""

        def judge_seen() -> None:
            if self._case is not None and self._workbench.is_beginning:
                name = Path(self._case.volume).name
                raise DinomedError(f"{name} is being opened: look at it first.")
            judge()

        self._workbench.attempt(judge_seen)

    def _say(self, verdict: Verdict) -> None:
        self._workbench.attempt(partial(self._decide, verdict))

    def _later(self) -> None:
        self._if_seen(self._skip)

    def _skip(self) -> None:
        if self._case is not None:
            self._skipped.add(self._case.task)
            self._next()

    def _decide(self, verdict: Verdict) -> None:
        if self._review is not None and self._case is not None:
            self._review = self._review.decided(self._case, verdict)
            self._next()

    def _show(self) -> None:
        """Say what is open, and what can be done."""
        for each in (self.accept, self.reject, self.later):
            each.setEnabled(self._case is not None)
        review, case = self._review, self._case
        if review is None:
            return
        counts = ", ".join(f"{review.count(one)} {one}" for one in Verdict)
        if case is None:
            self.about.setText(f"Nothing is left to look at: {counts}.")
            return
        name = Path(case.volume).name
        why = case.reasons or "nothing speaks against it"
        self.about.setText(
            f"<b>{name}</b>, {case.light}: {why}.<br>{len(review.waiting)} left; {counts}."
        )


def encoder_of(model: Path) -> str:
    """Name of the encoder that a model was taught with; errors as `read_header`."""
    return read_header(model).sight.encoder
