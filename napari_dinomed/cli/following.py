"""How far a run of many tasks is: bars in a terminal, else a line a minute."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rich.progress import BarColumn, Progress, TextColumn

from napari_dinomed.amounts import duration
from napari_dinomed.cli.common import errors
from napari_dinomed.engine.messages import Notice
from napari_dinomed.engine.messages import Progress as Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.messages import Event

# Seconds between lines of a log.
_SILENCE = 60.0
# Workers that are told of one by one; more would fill the terminal.
_FEW = 8


@dataclass(frozen=True)
class Pace:
    """How far a run is, and how fast.

    Parameters
    ----------
    what
        What is counted: ``volumes``.
    total, done, failed
        How many there are, are through, and came to nothing.
    seconds
        Since the run began.
    before
        How many of those done were done by an earlier run.
    workers
        How many each worker did, by its name; nobody where this process works.
    """

    what: str
    total: int
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    before: int = 0
    workers: tuple[tuple[str, int], ...] = ()

    @property
    def rate(self) -> float:
        """How many are done in a second."""
        return (self.done - self.before) / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """All of it in a line."""
        said = [f"{self.done} of {self.total} {self.what}"]
        if self.failed:
            said.append(f"{self.failed} failed")
        if self.rate:
            said.append(_often(self.rate))
        if self.rate and self.done < self.total:
            left = (self.total - self.done) / self.rate
            said.append(f"about {duration(left)} left")
        if self.workers:
            said.append(_shares(self.workers))
        return ", ".join(said)


def _often(rate: float) -> str:
    """A rate with some digits before its point."""
    units = ((1, "s"), (60, "min"), (3600, "h"))
    seconds, unit = next((one for one in units if rate * one[0] >= 1), units[-1])
    return f"{rate * seconds:.3g}/{unit}"


def _shares(workers: tuple[tuple[str, int], ...]) -> str:
    """Who did how many."""
    if len(workers) <= _FEW:
        return "; ".join(f"worker {name}: {count}" for name, count in workers)
    counts = [count for _, count in workers]
    return f"{len(workers)} workers: {min(counts)} to {max(counts)} each"


class Following(Protocol):
    """Whoever is told how far a run is."""

    def tell(self, pace: Pace) -> None:
        """Show how far it is."""

    def on_event(self, event: Event) -> None:
        """Show how far the task at hand is, and what else is to be known of it."""


class _Bars:
    """A bar of all, and one of the task at hand."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._all = bars.add_task("", total=None)
        self._one = bars.add_task("", total=None, visible=False)

    def tell(self, pace: Pace) -> None:
        self._bars.update(
            self._all, description=str(pace), completed=pace.done, total=pace.total
        )

    def on_event(self, event: Event) -> None:
        if isinstance(event, Notice):
            errors.print(event.text)
        elif isinstance(event, Step):
            self._bars.update(
                self._one,
                description=event.text,
                completed=event.done,
                total=event.total or None,
                visible=True,
            )


class _Log:
    """A line a minute, and one at the end."""

    def __init__(self) -> None:
        self._last = ""
        self._said = -_SILENCE

    def tell(self, pace: Pace) -> None:
        self._last = str(pace)
        self._say(self._last, is_due=pace.done == pace.total)

    def on_event(self, event: Event) -> None:
        if isinstance(event, Notice):
            errors.print(event.text)
        elif isinstance(event, Step):
            self._say(f"{self._last}; {event.text} {event.done} of {event.total}")

    def _say(self, text: str, is_due: bool = False) -> None:
        if is_due or time.monotonic() - self._said >= _SILENCE:
            errors.print(text, soft_wrap=True)
            self._said = time.monotonic()


@contextmanager
def following() -> Iterator[Following]:
    """Someone to be told how far a run is."""
    if not errors.is_terminal:
        yield _Log()
        return
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=errors, transient=True) as bars:
        yield _Bars(bars)


class Count:
    """Counts what is through.

    Parameters
    ----------
    what, total
        As for `Pace`.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._begun = time.monotonic()
        self._failed = 0
        self._by: Counter[str] = Counter()

    def one(self, worker: str, failed: bool) -> None:
        """One more is through."""
        self._by[worker] += 1
        self._failed += failed

    @property
    def pace(self) -> Pace:
        """How far it is."""
        workers = sorted((name, count) for name, count in self._by.items() if name)
        return Pace(
            self._what,
            self._total,
            self._by.total(),
            self._failed,
            time.monotonic() - self._begun,
            workers=tuple(workers),
        )
