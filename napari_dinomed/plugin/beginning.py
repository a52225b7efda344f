"""Binding an image a step at a time, so that the window runs in between.

In: an image, and the steps of binding it. Out: the steps gone, one after another, unless
another image is chosen, or this one goes, before that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import LayerList
    from napari.layers import Image

    from napari_dinomed.session.asking import Deliver

# What there is no step after.
_BOUND = object()


@dataclass(frozen=True)
class _Begun:
    """An image that is about to be bound, the steps left, and who waits for it."""

    image: Image
    steps: Iterator[None]
    thens: tuple[Callable[[], None], ...]


class Beginning:
    """Binds one image at a time; who chooses another gives the one before up.

    Parameters
    ----------
    layers
        Those of the viewer.
    steps_of
        Goes the steps of binding an image; in the first it has the one before forgotten.
    later
        Runs a function when what waits to be drawn is, and nothing else runs.
    given_up
        Called when an image will not come, with what is left of it to undo.
    failed
        Called with the reason when one cannot be bound.
    """

    def __init__(
        self,
        layers: LayerList,
        steps_of: Callable[[Image], Iterator[None]],
        later: Deliver,
        given_up: Callable[[Image | None], None],
        failed: Callable[[str], None],
    ) -> None:
        self._layers = layers
        self._steps_of = steps_of
        self._later = later
        self._given_up = given_up
        self._failed = failed
        self._begun: _Begun | None = None

    @property
    def image(self) -> Image | None:
        """The image that is about to be bound."""
        return None if self._begun is None else self._begun.image

    def begin(self, image: Image, then: Callable[[], None]) -> None:
        """Go the first step now, which may fail, and the others later.

        Where the image is about to be bound, that goes on, and one more waits for it.
        """
        begun = self._begun
        if begun is not None and image == begun.image:
            self._begun = replace(begun, thens=(*begun.thens, then))
            return
        steps = self._steps_of(image)
        if next(steps, _BOUND) is _BOUND:
            then()
            return
        self._begun = _Begun(image, steps, (then,))
        self._go_on_later(steps)

    def forget(self) -> None:
        """Go no further, and tell nobody."""
        self._begun = None

    def follow_layers(self) -> None:
        """Give the image up where it is gone."""
        if self._begun is not None and self._begun.image not in self._layers:
            self._give_up()

    def _go_on_later(self, steps: Iterator[None]) -> None:
        self._later(lambda: self._go_on(steps))

    def _go_on(self, steps: Iterator[None]) -> None:
        """Go the next step, unless another image was begun with meanwhile."""
        begun = self._begun_by(steps)
        if begun is None:
            return
        if begun.image not in self._layers:
            self._give_up()
            return
        try:
            is_bound = next(steps, _BOUND) is _BOUND
        except DinomedError as error:
            self._give_up()
            self._failed(str(error))
            return
        except Exception:
            self._give_up()
            raise
        if not is_bound:
            self._go_on_later(steps)
            return
        # Somebody may have come to wait for it in its last step, or gone on to another.
        begun = self._begun_by(steps)
        if begun is not None:
            self._begun = None
            for then in begun.thens:
                then()

    def _begun_by(self, steps: Iterator[None]) -> _Begun | None:
        begun = self._begun
        return begun if begun is not None and begun.steps is steps else None

    def _give_up(self) -> None:
        image = self.image
        self._begun = None
        self._given_up(image)
