"""Something that a model is to do with a volume's features, once they are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_dinomed.errors import DinomedError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.engine.asked import Call
    from napari_dinomed.engine.messages import ProposeLabels, TeachModel, TellVolume
    from napari_dinomed.session.asking import Asking

    ModelRequest = ProposeLabels | TeachModel | TellVolume


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be done.

    Parameters
    ----------
    make
        From the volume's name and the number of its features to the request.
    take
        Told the result.
    request, call
        What was asked, once the features are there.
    """

    make: Callable[[str, int], ModelRequest]
    take: Callable[[Any], object]
    request: ModelRequest | None = None
    call: Call | None = None


class Errand:
    """One task at a time.

    Parameters
    ----------
    asking
        Who asks the engine.
    acted
        Told that the task began, or is over.
    failed
        Told why its result could not be taken.
    """

    def __init__(
        self, asking: Asking, acted: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        self._asking, self._acted, self._failed = asking, acted, failed
        self._task: _Task | None = None

    @property
    def is_on(self) -> bool:
        """Whether a model is proposing or learning, or waits to."""
        return self._task is not None

    def put(
        self, make: Callable[[str, int], ModelRequest], take: Callable[[Any], object]
    ) -> None:
        """Have something to do; `DocumentError` where another is not done yet."""
        if self._task is not None:
            raise DocumentError(
                "A model is proposing or learning already: wait for it, or cancel it."
            )
        self._task = _Task(make, take)

    def begin(self, volume: str, encoding: int) -> None:
        """Ask for what waits, if anything does, now that the features are there."""
        task = self._task
        if task is None or task.request is not None:
            return
        request = task.make(volume, encoding)
        self._task = replace(task, request=request)
        self._acted()
        call = self._asking.submit(
            request, self._take, self._lose, lambda: self._is_asked(request)
        )
        if self._task is not None and self._task.request is request:
            self._task = replace(self._task, call=call)

    def withdraw(self) -> None:
        """Do it no more."""
        task, self._task = self._task, None
        if task is not None and task.call is not None:
            task.call.cancel()

    def _is_asked(self, request: ModelRequest) -> bool:
        return self._task is not None and self._task.request is request

    def _take(self, result: Any) -> None:
        task, self._task = self._task, None
        self._acted()
        if task is not None:
            try:
                task.take(result)
            except DinomedError as error:
                self._failed(str(error))

    def _lose(self, _: BaseException) -> None:
        self._task = None
        self._acted()
