"""Python's search for garbage, kept short while a window is open.

It goes through all objects there are, which takes a window of napari a fifth of a second:
by itself every now and then, and napari asks for it whenever a layer is removed.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass


@dataclass(eq=False)
class Heap:
    """Leaves out of the search what was there when a panel came, while one is there."""

    users: int = 0

    def settle(self) -> None:
        """Search no more through what is there now; to be let go once."""
        self.users += 1
        gc.freeze()

    def let_go(self) -> None:
        """One user less; with the last, all is searched again: windows leave garbage."""
        self.users -= 1
        if self.users == 0:
            gc.unfreeze()


HEAP = Heap()
"""That of this process."""
