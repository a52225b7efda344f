"""Work on the newest document, beside the window's thread: one that waits gives way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.annotation.document import Document


class Newest:
    """A thread, while there is work, that does the newest document only.

    Parameters
    ----------
    name
        Of the thread.
    work
        What is done to a document; it looks at `is_outdated` and raises nothing.
    """

    def __init__(self, name: str, work: Callable[[Document], None]) -> None:
        self._name, self._work = name, work
        self._wanted: Document | None = None
        self._lock = threading.Lock()
        self._is_running = False
        self.is_over = False

    @property
    def is_outdated(self) -> bool:
        """Whether what is worked on now is wanted no more."""
        return self.is_over or self._wanted is not None

    def follow(self, document: Document) -> None:
        """Work on a document soon; one that waits gives way to it."""
        with self._lock:
            self._wanted = document
            if self._is_running or self.is_over:
                return
            self._is_running = True
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def end(self) -> None:
        """Work on nothing from now on."""
        with self._lock:
            self._wanted, self.is_over = None, True

    def _run(self) -> None:
        while True:
            with self._lock:
                document, self._wanted = self._wanted, None
                self._is_running = document is not None
            if document is None:
                return
            self._work(document)
