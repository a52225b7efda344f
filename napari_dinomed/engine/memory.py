"""What becomes of a request for which there is no memory left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.errors import EngineError
from napari_dinomed.features.device import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.messages import Event, Result


def within_memory(
    steps: Iterator[Event | Result | None],
) -> Iterator[Event | Result | None]:
    """Steps of a request, as they come.

    Raises
    ------
    EngineError
        Where a device, or this machine, has no room left for one; others as the steps have
        it.
    """
    try:
        yield from steps
        return
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Only here the error, and with it what was computed so far, is let go.
    raise EngineError(
        "There is no memory left for this on the engine's machine. Close other programs or "
        "volumes, and try again."
    )
