"""One thing at a time: what happens within a thing waits until that is over.

napari tells of a change while it makes it. Whoever changes layers inside such an event is
heard by the next handler before it is done, and so on for ever. So events only say what is
to be done; it is done afterwards, in order.
"""

from __future__ import annotations

import collections
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.session.asking import Deliver

    Work = Callable[[], None]


class Turns:
    """Runs work in order, never one inside of another.

    Parameters
    ----------
    deliver
        Runs a function soon, on the thread of the window.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._waiting: collections.deque[Work] = collections.deque()
        self._is_running = self._is_held = False
        self._is_over = False

    def soon(self, work: Work) -> None:
        """Run when the event that is being told of is over."""
        self._deliver(lambda: self.run(work))

    def run(self, work: Work) -> None:
        """Run now, or after what is being run."""
        if self._is_over:
            return
        self._waiting.append(work)
        self._run_all()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run nothing while napari does something during which it lets the window run."""
        outer, self._is_held = self._is_held, True
        try:
            yield
        finally:
            self._is_held = outer
            self._run_all()

    def _run_all(self) -> None:
        if self._is_running or self._is_held:
            return
        self._is_running = True
        try:
            while self._waiting:
                self._waiting.popleft()()
        finally:
            self._is_running = False

    def end(self) -> None:
        """Run nothing from now on."""
        self._is_over = True
        self._waiting.clear()
