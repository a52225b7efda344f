"""What is asked of an engine on behalf of a session, and told on the session's thread.

In: requests, with who takes their results. Out: calls under way. What was withdrawn since
is dropped wherever it is. Events of the engine arrive on the client's thread and are
handed to ``deliver``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from napari_dinomed.errors import ForgottenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.engine.asked import Call, OnEvent
    from napari_dinomed.engine.messages import Event, Request
    from napari_dinomed.engine.place import Place

    Deliver = Callable[[Callable[[], None]], None]


class Asks(Protocol):
    """What a session needs of an engine's client."""

    @property
    def place(self) -> Place:
        """Where it computes."""

    @property
    def where(self) -> str:
        """The same in words, with device and round trip."""

    def submit(self, request: Request, on_event: OnEvent | None = None) -> Call:
        """Ask; returns at once."""

    def recover(self) -> None:
        """Replace an engine that hangs; what it was asked is asked anew."""


class Asking:
    """Asks an engine, until it is closed.

    Parameters
    ----------
    engine
        Who computes.
    deliver
        Runs a function on the thread of the owner.
    hear
        Told the events of what is still wanted.
    forgotten
        Told that the engine has nothing any more of what it was given.
    failed
        Told an error, after the one who asked.
    """

    def __init__(
        self,
        engine: Asks,
        deliver: Deliver,
        hear: Callable[[Event], None],
        forgotten: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._engine, self._deliver = engine, deliver
        self._hear, self._forgotten, self._failed = hear, forgotten, failed
        self._is_closed = False

    def submit(
        self,
        request: Request,
        take: Callable[[Any], None],
        lose: Callable[[BaseException], None],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Call:
        """Ask.

        Parameters
        ----------
        request
            What is asked.
        take, lose
            Told the result, or the error.
        is_wanted
            Whether an event or a result that comes now is still waited for.
        """

        def is_current() -> bool:
            return not self._is_closed and is_wanted()

        def hear(event: Event) -> None:
            self._deliver(lambda: self._hear(event) if is_current() else None)

        def settle(future: Any) -> None:
            self._deliver(lambda: self._settle(future, is_current, take, lose))

        call = self._engine.submit(request, hear)
        call.future.add_done_callback(settle)
        return call

    def order(self, request: Request) -> None:
        """Ask for something that nobody waits for."""
        self._engine.submit(request)

    def close(self) -> None:
        """Tell nothing any more."""
        self._is_closed = True

    def _settle(
        self,
        future: Any,
        is_current: Callable[[], bool],
        take: Callable[[Any], None],
        lose: Callable[[BaseException], None],
    ) -> None:
        error = future.exception()
        if not is_current():
            return
        if error is None:
            take(future.result())
            return
        if isinstance(error, ForgottenError):
            self._forgotten()
        lose(error)
        self._failed(error)
