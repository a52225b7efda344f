"""Who does the tasks of a run: this process, or the workers of a dask cluster.

In: a function, and tasks. Out: what came of each, in the order in which they end. Paths
and numbers go to workers, and what is to be said comes back; no voxel does.
"""

from __future__ import annotations

import os
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from napari_dinomed.errors import ClusterError
from napari_dinomed.features.device import gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from distributed import Client, Future

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that wait at each worker: none is idle, and a scheduler holds few.
_AHEAD = 2
# Variables of a process of this machine, which glibc and torch read as they begin. dask has
# memory given back to the system at every turn: the next volume then finds none that is
# mapped. Two processes did 1.47 times the volumes of one so, and 1.89 times with this.
_BEFORE_IT_STARTS = "distributed.nanny.pre-spawn-environ"
_KEEPING = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}
# Seconds until a scheduler that does not answer is taken for gone.
_PATIENCE = 20


class Ended(NamedTuple, Generic[Task, Result]):
    """A task that ended.

    Parameters
    ----------
    task
        The task.
    result
        What came of it, or the error that came instead.
    worker
        Who did it; empty where it is this process, or where workers died of it.
    """

    task: Task
    result: Result | BaseException
    worker: str = ""


class Hands(Protocol):
    """Whoever does tasks."""

    @property
    def is_here(self) -> bool:
        """Whether it is this process, which can tell of progress within a task."""

    def each(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Iterator[Ended[Task, Result]]:
        """Do tasks, and tell of each when it ended."""


class Here:
    """The process itself."""

    is_here = True

    def each(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Iterator[Ended[Task, Result]]:
        """Do one task after another."""
        for task in tasks:
            try:
                done: Result | BaseException = work(task)
            except Exception as error:  # noqa: BLE001 - one task is not the end of a run
                done = error
            yield Ended(task, done)


def usual_workers(device: str) -> int:
    """A process for each GPU that would compute, where dask can begin them; else one."""
    if device not in ("auto", "cuda") or find_spec("distributed") is None:
        return 1
    return max(1, len(gpus()))


@contextmanager
def hands_of(workers: int, scheduler: str | None = None) -> Iterator[Hands]:
    """Who works: this process, several of this machine, or a cluster that is there.

    Parameters
    ----------
    workers
        Processes on this machine, each with a GPU of its own where there are several; one
        is this one.
    scheduler
        Address of a cluster, or None. Its workers must see files under the same paths.

    Raises
    ------
    ClusterError
        Where dask.distributed is not installed, or the scheduler does not answer.
    """
    if scheduler is None and workers == 1:
        yield Here()
        return
    try:
        import dask
        from distributed import Client, LocalCluster

        from napari_dinomed.batch.gpu_each import GpuEach
    except ImportError as error:
        raise ClusterError(
            "Labelling by many processes needs dask.distributed: "
            "pip install 'napari-dinomed[cluster]'"
        ) from error
    if scheduler is not None:
        with _client_of(scheduler) as client:
            yield Workers(client)
        return
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    with (
        dask.config.set({_BEFORE_IT_STARTS: {"OMP_NUM_THREADS": threads, **_KEEPING}}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(GpuEach(gpus()))
        yield Workers(client)


def _client_of(scheduler: str) -> Client:
    from distributed import Client

    try:
        return Client(scheduler, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No scheduler answers at {scheduler}. Expected an address like "
            f"tcp://HOST:8786, as 'dask scheduler' prints it ({error})."
        ) from error


class Workers:
    """Workers of a cluster, with a few tasks ahead of each.

    Parameters
    ----------
    client
        Of the cluster.
    """

    is_here = False

    def __init__(self, client: Client) -> None:
        self._client = client

    def each(
        self, work: Callable[[Task], Result], tasks: Iterable[Task]
    ) -> Iterator[Ended[Task, Result]]:
        """Do tasks; one whose worker dies is given to others.

        Raises
        ------
        ClusterError
            Where the cluster is gone.
        """
        from distributed import as_completed

        waiting = iter(tasks)
        asked: dict[Future, Task] = {}

        def ask() -> list[Future]:
            """Give workers what they have room for: some come later, or go."""
            count = _AHEAD * max(1, len(self._client.nthreads())) - len(asked)
            futures = []
            for _, task in zip(range(count), waiting, strict=False):
                future = self._client.submit(_signed, work, task, pure=False)
                asked[future] = task
                futures.append(future)
            return futures

        try:
            done = as_completed(ask(), loop=self._client.loop)
            for future in done:
                error = future.exception()
                task = asked.pop(future)
                yield (
                    Ended(task, *future.result()) if error is None else Ended(task, error)
                )
                done.update(ask())
        except (OSError, TimeoutError, CancelledError) as error:
            # Of a future that is cancelled, the text begins with what it is called.
            why = str(getattr(error, "reason", error))
            raise ClusterError(
                f"The cluster is gone ({why}). What is done is kept: begin again."
            ) from error


def _signed(work: Callable[[Task], Result], task: Task) -> tuple[Result, str]:
    """What came of a task, and the name of the worker that did it."""
    from distributed import get_worker

    return work(task), str(get_worker().name)
