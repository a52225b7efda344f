"""Reading many rows on a few threads."""

from __future__ import annotations

import torch

from napari_dinomed.segment.threads import read_in_parts


def test_every_row_is_read_once_and_in_order_whatever_threads_there_are():
    rows = torch.arange(120_000, dtype=torch.int32).view(-1, 3)
    usual = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            read = read_in_parts(lambda part: part.sum(1), rows)
            assert torch.equal(read, rows.sum(1).float())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(usual)
