"""How an encoder may see a volume: in which grey values, and together with which images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinomed.errors import DocumentError
from napari_dinomed.volume import choose_window, seen_with
from napari_dinomed.volume.window import WINDOW_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dinomed.annotation.choices import Choices
    from napari_dinomed.volume import Planes, Volume, Window


@dataclass(frozen=True)
class Sight:
    """What features are of: the choices that new ones are needed for."""

    encoder: str
    window: Window
    others: tuple[str, ...]
    planes: Planes


class Sights:
    """What one volume may be seen as.

    Parameters
    ----------
    volume
        The volume.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._others: dict[str, Volume] = {}
        self._windows: dict[str, Window] = {}

    def of(self, choices: Choices) -> Sight:
        """What choices ask for."""
        window = self.window(choices.window)
        return Sight(choices.encoder, window, choices.others, choices.planes)

    def window(self, name: str) -> Window:
        """Grey values that the encoder sees; the volume's own if unnamed."""
        if name not in self._windows:
            # A document may name what only another version knows: its own stands in.
            known = name if name in WINDOW_NAMES else None
            self._windows[name] = choose_window(self._volume, known)
        return self._windows[name]

    def know(self, others: Mapping[str, Volume]) -> bool:
        """Keep images at hand, by fingerprint; whether any of them is new."""
        is_news = not others.keys() <= self._others.keys()
        self._others |= others
        return is_news

    def volume(self, others: tuple[str, ...]) -> Volume:
        """The volume with the images that it is seen with.

        Raises
        ------
        DocumentError
            Where one of them is not at hand.
        """
        missing = [one for one in others if one not in self._others]
        if missing:
            raise DocumentError(
                f"{len(missing)} of the images that this volume was seen with is not open. "
                "Open it, or choose anew what the volume is seen with."
            )
        return seen_with(self._volume, [self._others[one] for one in others])
