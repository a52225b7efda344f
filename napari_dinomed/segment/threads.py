"""How many threads share a computation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Rows that stay in a processor's cache while they are read: three times as fast as many.
AT_ONCE = 16_384


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


def read_in_parts(
    read: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor
) -> torch.Tensor:
    """What is read in rows (n, parts), (n,): a part at a time, each on one thread.

    As many parts are read at once as torch has threads; none waits for another.

    Parameters
    ----------
    read
        From some rows, in single precision, to a number for each.
    rows
        In any precision.
    """

    def one(part: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return read(part.float())

    threads = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        return torch.cat(list(pool.map(one, torch.split(rows, AT_ONCE))))
