"""Tokens of a volume, complete or on their way: along one axis, or along three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.features.extraction import block_order, extract_block
from napari_dinomed.features.stack import SlicePlan, SliceStack, dense_plan, slice_plans
from napari_dinomed.features.store import FeatureStore, feature_signature
from napari_dinomed.features.tokens import TokenBank

if TYPE_CHECKING:
    from napari_dinomed.features.encoder import Encoder, Notice
    from napari_dinomed.volume import Planes, Volume, Window


@dataclass(frozen=True, eq=False)
class PlaneTokens:
    """Tokens of a volume's slices along one axis, complete or on their way."""

    encoder: Encoder
    stack: SliceStack
    plan: SlicePlan
    store: FeatureStore
    bank: TokenBank

    @classmethod
    def begun(
        cls,
        volume: Volume,
        window: Window,
        plan: SlicePlan,
        encoder: Encoder,
        name: str,
        notice: Notice,
    ) -> PlaneTokens:
        """No tokens yet.

        Parameters
        ----------
        volume, window, plan
            What the encoder sees, and how.
        encoder, name
            Who encodes, and under what name users know it.
        notice
            Told where tokens cannot be kept on disk.
        """
        stack = SliceStack(volume, window, plan.axis, plan.step, plan.shrink)
        grid = encoder.grid(stack.slice_shape, plan)
        shape = (stack.depth, encoder.channels(stack.images), *grid)
        signature = feature_signature(volume, window, plan, encoder)
        store = FeatureStore.for_signature(signature, shape, name, notice)
        bank = TokenBank(shape, volume.array.shape, plan.axis, plan.step)
        return cls(encoder, stack, plan, store, bank)

    def require(self, start: int, stop: int) -> int:
        """Have the tokens of slices ``start`` to ``stop``; how many were computed."""
        if self.bank.ready[start:stop].all():
            return 0
        block, computed = extract_block(
            self.stack, self.plan, self.encoder, self.store, start, stop
        )
        self.bank.put(start, block)
        return (stop - start) * computed

    def require_slices(self, indices: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Have the tokens of single slices, block by block."""
        size = self.encoder.block
        for block in np.unique(indices // size):
            start = int(block) * size
            self.require(start, min(start + size, self.stack.depth))

    def missing(self, near: int) -> list[tuple[int, int]]:
        """Blocks (start, stop) that are not there yet, nearest to a slice first."""
        order = block_order(self.stack.depth, self.encoder.block, near)
        return [
            (start, stop) for start, stop in order if not self.bank.ready[start:stop].all()
        ]


@dataclass(frozen=True, eq=False)
class Encoding:
    """A volume's tokens: along z, and along the other axes where three planes are used.

    Parameters
    ----------
    encoder, planes
        Who encodes, and what came of it.
    generation
        Number that the asker gave it.
    """

    encoder: Encoder
    planes: tuple[PlaneTokens, ...]
    generation: int = 0

    @property
    def banks(self) -> tuple[TokenBank, ...]:
        """Tokens in memory, those along z first."""
        return tuple(plane.bank for plane in self.planes)

    @property
    def window(self) -> Window:
        """How grey values were brought to [0, 1]."""
        return self.planes[0].stack.window


def slices_done(planes: tuple[PlaneTokens, ...]) -> tuple[int, int]:
    """How many slices are there, out of how many."""
    done = sum(int(plane.bank.ready.sum()) for plane in planes)
    return done, sum(plane.bank.depth for plane in planes)


def next_missing(
    planes: tuple[PlaneTokens, ...], near: int
) -> tuple[PlaneTokens, int, int] | None:
    """The missing block nearest to the view, or of another plane; None if complete."""
    for plane in planes:
        for start, stop in plane.missing(near if plane.stack.axis == 0 else 0):
            return plane, start, stop
    return None


def plans_for(volume: Volume, encoder: Encoder, planes: Planes) -> list[SlicePlan]:
    """How a volume is cut for an encoder."""
    if not encoder.is_planar:
        channels = encoder.channels(1 + len(volume.others))
        return [dense_plan(volume, channels, encoder.spec.stride)]
    side = encoder.spec.sides[volume.modality]
    return slice_plans(volume, side, encoder.spec.stride, planes)
