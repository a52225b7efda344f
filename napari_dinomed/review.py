"""What is to be looked at of a folder of results: the worst first, each once.

In: the queue that a run leaves, and what somebody said of its cases. Out: the cases that
nobody has looked at yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pydantic import TypeAdapter, ValidationError

from napari_dinomed.errors import ReadError
from napari_dinomed.io.atomic import write_text
from napari_dinomed.io.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

QUEUE, SAID = "review.json", "reviewed.jsonl"
# Lights in the order in which somebody should look.
LIGHTS = ("red", "yellow", "green")


class Verdict(StrEnum):
    """What was said of a case."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Case:
    """A volume that was labelled without a click.

    Parameters
    ----------
    task
        What identifies the work: labelled anew, it has to be looked at anew.
    volume, labels
        The volume's path, and the name of the file with its labels.
    light, doubt, reasons
        How sure the program is of it, and why not.
    """

    task: str
    volume: str
    labels: str
    light: str
    doubt: float
    reasons: str


@dataclass(frozen=True)
class Queue:
    """Cases of a run, and the model that labelled them."""

    model: str
    cases: tuple[Case, ...]

    def write(self, folder: Path) -> None:
        """Leave it in a folder of results, the worst first."""
        ordered = sorted(
            self.cases, key=lambda case: (LIGHTS.index(case.light), -case.doubt)
        )
        queue = Queue(self.model, tuple(ordered))
        write_text(folder / QUEUE, _QUEUES.dump_json(queue, indent=1).decode())


@dataclass(frozen=True)
class _Said:
    """A verdict on a case."""

    task: str
    labels: str
    verdict: Verdict


_QUEUES, _SAID = TypeAdapter(Queue), TypeAdapter(_Said)


@dataclass(frozen=True)
class Review:
    """A queue, and how far it was walked.

    Parameters
    ----------
    folder
        Of results.
    queue
        All cases.
    said
        What was said, by task.
    """

    folder: Path
    queue: Queue
    said: tuple[_Said, ...] = ()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Take up a review where it was left.

        Raises
        ------
        ReadError
            Where no run left a queue there.
        """
        try:
            queue = _QUEUES.validate_json((folder / QUEUE).read_bytes())
        except (OSError, ValidationError) as error:
            raise ReadError(
                f"Expected a folder of results with {QUEUE} in it, which 'apply' writes "
                f"at its end, got {folder}."
            ) from error
        return cls(folder, queue, tuple(_journal_in(folder).rows()))

    @property
    def waiting(self) -> tuple[Case, ...]:
        """Cases that nobody has looked at, the worst first."""
        known = {one.task for one in self.said}
        return tuple(case for case in self.queue.cases if case.task not in known)

    def decided(self, case: Case, verdict: Verdict) -> Review:
        """The review with one more verdict, which is on disk at once.

        Raises
        ------
        WriteError
            Where it cannot be kept.
        """
        said = _Said(case.task, case.labels, verdict)
        _journal_in(self.folder).note(said)
        return Review(self.folder, self.queue, (*self.said, said))

    def count(self, verdict: Verdict) -> int:
        """Of how many cases that was said."""
        return sum(one.verdict is verdict for one in self.said)


def _journal_in(folder: Path) -> Journal[_Said]:
    """Where verdicts are kept."""
    return Journal(folder / SAID, _SAID)
