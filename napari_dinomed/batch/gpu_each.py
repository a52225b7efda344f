"""Processes of this machine, each of which sees a GPU of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from distributed import WorkerPlugin

if TYPE_CHECKING:
    from distributed import Worker


class GpuEach(WorkerPlugin):  # type: ignore[misc] # distributed has no types
    """Shows every worker one GPU, in turn; also one that takes another's place.

    Parameters
    ----------
    names
        As CUDA_VISIBLE_DEVICES names them; nothing is hidden where there is none.
    """

    name = "a GPU for each"

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def setup(self, worker: Worker) -> None:
        """Before its first task, and so before torch looks for GPUs."""
        if self._names:
            number = int(worker.name) % len(self._names)
            os.environ["CUDA_VISIBLE_DEVICES"] = self._names[number]
