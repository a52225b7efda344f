"""Requests under way: who asked them, who waits for them, and what becomes of them."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_dinomed import errors
from napari_dinomed.engine.messages import Event, Failed, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_dinomed.engine.messages import Reply, Request
    from napari_dinomed.engine.process import EngineProcess

    OnEvent = Callable[[Event], None]

_log = logging.getLogger(__name__)

# One engine may die of something else than what it was asked; two hardly do.
_MOST_DEATHS = 2
# A link may be cut by anything; so often, while one thing is asked, is no chance.
_MOST_CUTS = 10


@dataclass(frozen=True, eq=False)
class Call:
    """A request under way.

    Parameters
    ----------
    future
        Its result; an error of `napari_dinomed.errors` where it failed, `Cancelled`
        where it was withdrawn.
    cancel
        Withdraw it.
    """

    future: Future[Any]
    cancel: Callable[[], None]


@dataclass(frozen=True, eq=False)
class Pending:
    """A request that is not answered yet.

    Parameters
    ----------
    number, request, future, on_event
        What was asked, and who waits for it; nobody waits where an engine is only told
        again what the last one knew.
    process
        Who was asked.
    deaths, cuts
        Engines that died while doing this, and links that were cut while it was asked.
    """

    number: int
    request: Request
    future: Future[Any] | None
    on_event: OnEvent | None
    process: EngineProcess
    deaths: int = 0
    cuts: int = 0

    def outlived(self, process: EngineProcess, is_doing: bool) -> Pending:
        """The request, after a process ended that was asked it, or was even doing it."""
        if process.is_cut:
            return replace(self, cuts=self.cuts + 1)
        return replace(self, deaths=self.deaths + is_doing)

    @property
    def is_hopeful(self) -> bool:
        """Whether it may be asked once more."""
        return self.deaths < _MOST_DEATHS and self.cuts < _MOST_CUTS


def running() -> Future[Any]:
    """A future that only a reply can settle."""
    future = Future[Any]()
    future.set_running_or_notify_cancel()
    return future


def tell_one(pending: Iterable[Pending], event: Event) -> None:
    """Tell the first who listens; all of them ask for the same user."""
    for one in pending:
        if one.on_event is not None:
            tell(one, event)
            return


def tell(pending: Pending, event: Event) -> None:
    """Tell of an event whoever listens."""
    on_event = pending.on_event
    if on_event is not None:
        _outside(lambda: on_event(event))


def _outside(work: Callable[[], None]) -> None:
    """Run what the asker does; what goes wrong there must not end a thread of ours."""
    try:
        work()
    except BaseException:  # noqa: BLE001 - it is the asker's, whatever it is
        _log.exception("what was told of an answer failed")


def settle(future: Future[Any], reply: Reply) -> None:
    """Give who waits the result, or the error that the reply stands for."""
    if isinstance(reply, Withdrawn):
        fail(future, errors.Cancelled("withdrawn"))
    elif isinstance(reply, Failed):
        kind = getattr(errors, reply.error, None)
        if not (isinstance(kind, type) and issubclass(kind, errors.DinomedError)):
            kind = errors.EngineError
        fail(future, kind(reply.text))
    else:
        _outside(lambda: future.set_result(reply))


def fail(future: Future[Any] | None, error: errors.DinomedError) -> None:
    """Give an error to who waits, if anyone does."""
    if future is not None:
        _outside(lambda: future.set_exception(error))


def news(process: EngineProcess) -> str:
    """What a user should know of a process' end."""
    if process.is_cut:
        name = process.place.name
        return f"The link to {name} was cut, and is there again. Nothing is lost."
    return "The engine stopped, and was started again."


def died(pending: Pending, process: EngineProcess) -> errors.EngineError:
    """Why a request is not asked again that engines died of."""
    times = max(pending.deaths, pending.cuts)
    return errors.EngineError(
        f"The engine stopped at this request {times} times, and is not asked again. "
        f"Your prompts and labels are safe.\n{process.last_words}"
    )
