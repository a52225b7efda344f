"""Who labels the volumes of a run: this process, or the workers of a dask cluster.

In: how volumes are labelled, and which. Out: what is done, in the order in which it is.
Paths go to workers, and what is to be said of a volume comes back; no voxel does.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_dinomed.batch.done import Done
from napari_dinomed.batch.labelling import text_of
from napari_dinomed.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from distributed import Client, Future

    from napari_dinomed.batch.labelling import Labelling
    from napari_dinomed.headless import OnEvent

    # A volume, and the place of its labels.
    Task: TypeAlias = tuple[Path, Path]
    Hands: TypeAlias = Callable[
        [Labelling, list[Task], OnEvent], Iterator[tuple[Path, Done]]
    ]

# Tasks that wait at each worker: none is idle, and a scheduler holds few.
_AHEAD = 2
# Seconds until a scheduler that does not answer is taken for gone.
_PATIENCE = 20


def one_after_another(
    labelling: Labelling, tasks: list[Task], on_event: OnEvent
) -> Iterator[tuple[Path, Done]]:
    """Label volumes in this process."""
    for source, place in tasks:
        yield place, _timed(labelling, source, place, on_event)


@contextmanager
def hands_of(workers: int, scheduler: str | None = None) -> Iterator[Hands]:
    """Who labels: this process, several of this machine, or a cluster that is there.

    Parameters
    ----------
    workers
        Processes on this machine; one is this one.
    scheduler
        Address of a cluster, or None. Its workers must see files under the same paths.

    Raises
    ------
    ClusterError
        Where dask.distributed is not installed, or the scheduler does not answer.
    """
    if scheduler is None and workers == 1:
        yield one_after_another
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            "Labelling by many processes needs dask.distributed: "
            "pip install 'napari-dinomed[cluster]'"
        ) from error
    if scheduler is not None:
        with _client_of(scheduler) as client:
            yield _Workers(client)
        return
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            env={"OMP_NUM_THREADS": threads},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield _Workers(client)


def _client_of(scheduler: str) -> Client:
    from distributed import Client

    try:
        return Client(scheduler, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No scheduler answers at {scheduler}. Expected an address like "
            f"tcp://HOST:8786, as 'dask scheduler' prints it ({error})."
        ) from error


class _Workers:
    """Has the workers of a cluster label volumes, a few ahead of each."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(
        self, labelling: Labelling, tasks: list[Task], on_event: OnEvent
    ) -> Iterator[tuple[Path, Done]]:
        from distributed import as_completed

        waiting = iter(tasks)
        asked: dict[Future, Task] = {}
        ahead = _AHEAD * max(1, len(self._client.scheduler_info()["workers"]))
        here = replace(
            labelling, model=labelling.model.resolve(), out=labelling.out.resolve()
        )

        def ask(count: int) -> list[Future]:
            futures = []
            for task, _ in zip(waiting, range(count), strict=False):
                absolute = [path.resolve() for path in task]
                future = self._client.submit(_timed, here, *absolute, pure=False)
                asked[future] = task
                futures.append(future)
            return futures

        try:
            done = as_completed(ask(ahead), loop=self._client.loop)
            for future in done:
                source, place = asked.pop(future)
                yield place, _result_of(future, source)
                for more in ask(1):
                    done.add(more)
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"The cluster is gone ({error}). What is done is kept: begin again."
            ) from error


def _result_of(future: Future, source: Path) -> Done:
    """What a worker returned; that it died, again and again, is said as well."""
    error = future.exception()
    if error is None:
        done: Done = future.result()
        return replace(done, source=text_of(source))
    return Done("", text_of(source), error=f"{type(error).__name__}: {error}")


def _timed(
    labelling: Labelling, source: Path, place: Path, on_event: OnEvent | None = None
) -> Done:
    begun = time.perf_counter()
    done = labelling.label(source, place, on_event)
    return replace(done, seconds=round(time.perf_counter() - begun, 2))
