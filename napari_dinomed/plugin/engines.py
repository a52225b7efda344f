"""One engine for all panels and viewers of an application; it ends with the last."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.place import Place
from napari_dinomed.plugin.preferences import engine_command

if TYPE_CHECKING:
    from collections.abc import Callable


def _client() -> EngineClient:
    return EngineClient(Place.of(engine_command()), has_spare=True)


@dataclass(eq=False)
class SharedEngine:
    """Lends one client to many.

    Parameters
    ----------
    make
        Makes the client when the first asks for it.
    """

    make: Callable[[], EngineClient] = _client
    users: int = 0
    client: EngineClient | None = field(default=None, repr=False)

    def lend(self) -> EngineClient:
        """The client; to be given back once."""
        if self.client is None:
            self.client = self.make()
        self.users += 1
        return self.client

    def give_back(self) -> None:
        """One user less; the engine ends with the last."""
        self.users -= 1
        if self.users == 0 and self.client is not None:
            client, self.client = self.client, None
            _close(client)


APPLICATION = SharedEngine()
"""The engine of this process' windows; no process runs before a panel asks something."""


def another() -> EngineClient:
    """A client of an engine of its own, for what must not hold up the others."""
    return APPLICATION.make()


def end_of(engine: object) -> None:
    """End a client that was made for one thing; the window does not wait for it."""
    if isinstance(engine, EngineClient):
        _close(engine)


def _close(client: EngineClient) -> None:
    """End an engine that may be in the middle of a slice: the window does not wait."""
    try:
        threading.Thread(target=client.close, name="engine's end").start()
    except RuntimeError:
        # Python itself is ending, and starts no thread any more.
        client.close()
