"""What features will cost on this machine: time, memory and disk, before they are computed.

In: a volume and an encoder. Out: figures that follow from a few slices that are really
encoded, near the middle of the volume, and from how many are on disk already.
"""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING

import psutil

from napari_dinomed.engine.messages import Estimated
from napari_dinomed.features.encoding import plans_for
from napari_dinomed.features.stack import SliceStack
from napari_dinomed.features.store import feature_signature, slices_kept
from napari_dinomed.settings import cache_folder
from napari_dinomed.volume.volume import BYTES_PER_VOXEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.messages import EstimateEncoding
    from napari_dinomed.features.encoder import Encoder
    from napari_dinomed.features.stack import SlicePlan
    from napari_dinomed.volume import Volume

# Slices that are timed, of an encoder that sees them one by one.
_TIMED = 2
_BYTES_PER_NUMBER = 2


def estimated(
    volume: Volume, encoder: Encoder, request: EstimateEncoding
) -> Iterator[Estimated | None]:
    """Time a few slices, and count the rest; None where it may be interrupted."""
    window = encoder.window or request.window
    missing = computed = numbers = 0
    pixels, seconds_a_pixel = 0.0, 0.0
    for plan in plans_for(volume, encoder, request.planes):
        stack = SliceStack(volume, window, plan.axis, plan.step, plan.shrink)
        shape = (encoder.channels(stack.images), *encoder.grid(stack.slice_shape, plan))
        kept = slices_kept(feature_signature(volume, window, plan, encoder), shape)
        left = max(0, stack.depth - kept)
        numbers += stack.depth * math.prod(shape)
        missing += left * math.prod(shape)
        pixels += left * plan.height * plan.width
        computed += left
        if left and not seconds_a_pixel:
            seconds_a_pixel = _timed(stack, encoder, plan) / (plan.height * plan.width)
        yield None
    voxels = math.prod(volume.array.shape)
    yield Estimated(
        request.encoder,
        encoder.device,
        computed,
        seconds_a_pixel * pixels,
        numbers * _BYTES_PER_NUMBER + voxels * BYTES_PER_VOXEL,
        missing * _BYTES_PER_NUMBER,
        psutil.virtual_memory().available,
        _free_disk(),
    )


def _free_disk() -> int:
    """Bytes that are left where features are kept."""
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _timed(stack: SliceStack, encoder: Encoder, plan: SlicePlan) -> float:
    """Seconds for a slice; the first one warms up and does not count."""
    count = min(stack.depth, _TIMED if encoder.is_planar else encoder.block)
    start = (stack.depth - count) // 2
    if encoder.is_planar:
        encoder.encode(stack, start, start + 1, plan)
    begun = time.perf_counter()
    encoder.encode(stack, start, start + count, plan)
    return (time.perf_counter() - begun) / count
