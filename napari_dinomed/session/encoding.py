"""The features of a volume: there, on their way, or neither."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import Encoded, EncodeVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinomed.engine.asked import Call
    from napari_dinomed.session.asking import Asking
    from napari_dinomed.session.sight import Sight


@dataclass(frozen=True, eq=False)
class _Features:
    """Features, there or on their way.

    Parameters
    ----------
    sight
        What they are of.
    number
        Comes back with them, and with what is answered from them.
    call
        The request, once it is made.
    result
        None while they are on their way.
    """

    sight: Sight
    number: int
    call: Call | None = None
    result: Encoded | None = None


class Encoding:
    """One set of features at a time.

    Parameters
    ----------
    asking
        Who asks the engine.
    acted
        Told that they are on their way.
    came
        Told that they are there.
    lost
        Told why they are not.
    """

    def __init__(
        self,
        asking: Asking,
        acted: Callable[[], None],
        came: Callable[[Encoded], None],
        lost: Callable[[BaseException], None],
    ) -> None:
        self._asking = asking
        self._acted, self._came, self._lost = acted, came, lost
        self._features: _Features | None = None

    @property
    def number(self) -> int | None:
        """Of the features that are there or on their way."""
        return self._features.number if self._features is not None else None

    @property
    def result(self) -> Encoded | None:
        """The features that are there."""
        return self._features.result if self._features is not None else None

    @property
    def is_coming(self) -> bool:
        """Whether features are on their way."""
        return self._features is not None and self._features.result is None

    def is_of(self, sight: Sight) -> bool:
        """Whether what is there, or on its way, is what is asked for."""
        return self._features is not None and self._features.sight == sight

    def begin(self, volume: str, sight: Sight, first: int, number: int) -> None:
        """Compute features, or find them on disk.

        Parameters
        ----------
        volume, sight
            The volume's name, and what features are of.
        first
            Slice in view.
        number
            Of the encoding.
        """
        request = EncodeVolume(
            volume,
            sight.encoder,
            sight.window,
            first,
            planes=sight.planes,
            generation=number,
        )
        self._features = _Features(sight, number)
        self._acted()
        call = self._asking.submit(
            request, self._take, self._lose, lambda: self.number == number
        )
        if self._features is not None and self._features.number == number:
            self._features = replace(self._features, call=call)

    def withdraw(self) -> None:
        """Stop what is being computed, and forget what was."""
        features, self._features = self._features, None
        if features is not None and features.call is not None:
            features.call.cancel()

    def forget(self) -> None:
        """Take it that the engine has none."""
        self._features = None

    def _take(self, encoded: Encoded) -> None:
        assert self._features is not None  # what was withdrawn does not come here
        self._features = replace(self._features, result=encoded)
        self._came(encoded)

    def _lose(self, error: BaseException) -> None:
        self._features = None
        self._lost(error)
