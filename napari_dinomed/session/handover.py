"""A volume in the engine's hands: given before it is needed, and closed when it goes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import CloseVolume, open_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.session.asking import Asking
    from napari_dinomed.session.sight import Sights


class Handover:
    """Sees to it that the engine has a volume as it is to be seen.

    Parameters
    ----------
    sights
        What the volume may be seen as.
    asking
        Who asks the engine.
    lost
        Told that the engine could not take it.
    """

    def __init__(self, sights: Sights, asking: Asking, lost: Callable[[], None]) -> None:
        self.name = uuid.uuid4().hex
        self._sights, self._asking, self._lost = sights, asking, lost
        self._given: tuple[str, ...] | None = None
        self._was_given = False

    def ensure(self, others: tuple[str, ...]) -> None:
        """Hand it over with these images, if need be; the next click does it if that fails.

        Raises
        ------
        DinomedError
            Where an image is not at hand, or they cannot be seen together.
        """
        if self._given == others:
            return
        volume = self._sights.volume(others)
        self._given, self._was_given = others, True
        self._asking.submit(open_request(self.name, volume), lambda _: None, self._lose)

    def forget(self) -> None:
        """Take it that the engine has nothing of it."""
        self._given = None

    def close(self) -> None:
        """Let the engine forget it."""
        if self._was_given:
            self._was_given = False
            self._asking.order(CloseVolume(self.name))

    def _lose(self, _: BaseException) -> None:
        self._given = None
        self._lost()
