"""Python's search for garbage, kept short while a panel is open.

It goes through all objects there are, which takes a window of napari a fifth of a second:
by itself every now and then, and napari asks for it whenever layers are removed.
"""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Layer


class Settled:
    """Leaves what is there now out of the search, until one of the layers there goes.

    A volume that was opened before would never be freed otherwise.

    Parameters
    ----------
    layers
        Of the window.
    """

    def __init__(self, layers: LayerList) -> None:
        self._layers = layers
        self._older: weakref.WeakSet[Layer] = weakref.WeakSet(layers)
        layers.events.removing.connect(self._on_removing)
        gc.freeze()

    def end(self) -> None:
        """Search everything again; a second time is none."""
        self._layers.events.removing.disconnect(self._on_removing)
        gc.unfreeze()

    def _on_removing(self, event: Any) -> None:
        if self._layers[event.index] in self._older:
            self.end()
