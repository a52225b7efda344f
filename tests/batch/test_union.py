"""Things over many blocks: numbered as one, as the whole would number them."""

from __future__ import annotations

from itertools import product

import cc3d
import numpy as np
import pytest

from napari_dinomed.batch.stack.union import Faces, forget, numbers_of, write_numbers


def _numbered(labels, block, out):
    """Things of labels, numbered block by block."""
    counts = [-(-n // side) for n, side in zip(labels.shape, block, strict=True)]
    boxes = {
        index: tuple(
            slice(n * side, (n + 1) * side) for n, side in zip(index, block, strict=True)
        )
        for index in product(*map(range, counts))
    }
    parts, things = {}, {}
    for index, box in boxes.items():
        found, count = cc3d.connected_components(labels[box], connectivity=6, return_N=True)
        parts[index], things[index] = found.astype(np.uint32), count
        Faces.of(parts[index], labels[box]).write(out, index)
    total = write_numbers(out, things)
    numbered = np.zeros(labels.shape, np.uint32)
    for index, box in boxes.items():
        if things[index]:
            numbered[box] = numbers_of(out, index)[parts[index]]
    return numbered, total


@pytest.mark.parametrize("block", [(7, 9, 11), (24, 5, 24), (24, 24, 24)])
def test_blocks_number_things_as_the_whole_does(tmp_path, block):
    random = np.random.default_rng(0)
    labels = (random.random((24, 20, 26)) < 0.3).astype(np.uint8)
    # Two labels that touch are two things.
    labels[:, :, 13:] *= 2
    numbered, total = _numbered(labels, block, tmp_path)
    truth, count = cc3d.connected_components(labels, connectivity=6, return_N=True)
    assert total == count > 100
    assert np.unique(numbered).tolist() == list(range(count + 1))
    # The same partition: each number of one goes with one number of the other.
    assert np.unique([truth.ravel(), numbered.ravel()], axis=1).shape[1] == count + 1
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_there_is_nothing_nothing_is_numbered(tmp_path):
    numbered, total = _numbered(np.zeros((8, 8, 8), np.uint8), (4, 8, 8), tmp_path)
    assert total == 0
    assert not numbered.any()
