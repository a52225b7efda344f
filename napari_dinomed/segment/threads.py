"""How many threads share a computation."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, for many small steps.

    More threads gain nothing there, and where other programs take the processors, they
    wait for each other at the end of every step. Rounding no longer depends on how many
    processors there are, either.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
