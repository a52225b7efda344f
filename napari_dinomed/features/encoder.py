"""What an encoder is, and how one is made from its name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from napari_dinomed.features.stack import SlicePlan, SliceStack
    from napari_dinomed.volume import Modality, Volume, Window

    Notice = Callable[[str], None]

# Pixels that the shorter side of a slice is resized to, by kind of volume, where nothing
# else is known of an encoder. 448 is what MedDINOv3 (arXiv 2509.02379) ends near; on
# sections, mitochondria were found better at 256 than at 448 and 1024 (docs/benchmark).
SIDES: Mapping[Modality, int] = MappingProxyType(
    {"CT": 448, "MR": 448, "PET": 448, "EM": 256, "other": 448}
)
# Blocks that make a token: one at each quarter of the depth, as in MedDINOv3.
BLOCKS = 4


@dataclass(frozen=True)
class EncoderSpec:
    """What can be said of an encoder without loading it.

    Parameters
    ----------
    name
        The name that the user types.
    title
        One line for lists.
    architecture
        timm's name of the model, empty for built-in encoders.
    channels
        Numbers per token.
    stride
        Pixels of the resized slice per token.
    parameters
        Millions of weights.
    licence
        Licence of the weights.
    repository
        Where timm keeps the weights, empty for built-in encoders and files.
    blocks
        How many blocks make a token, evenly spaced over the depth.
    sides
        Pixels that the shorter side of a slice is resized to, by kind of volume.
    """

    name: str
    title: str
    architecture: str = ""
    channels: int = 0
    stride: int = 16
    parameters: float = 0.0
    licence: str = "BSD-3-Clause"
    repository: str = ""
    blocks: int = BLOCKS
    sides: Mapping[Modality, int] = field(default_factory=lambda: SIDES)

    @property
    def only_side(self) -> int | None:
        """The side that was asked for, the same for every kind of volume."""
        first, *others = set(self.sides.values())
        return None if others else first

    def seen_at(self, side: int | None, blocks: int | None) -> EncoderSpec:
        """The same with another side for every kind of volume, or other blocks."""
        sides = self.sides if side is None else dict.fromkeys(SIDES, side)
        own = self.blocks if blocks is None else blocks
        return replace(self, sides=sides, blocks=own)


class Encoder(Protocol):
    """Describes slices by tokens: vectors on a grid coarser than the voxels."""

    @property
    def spec(self) -> EncoderSpec:
        """Name, size, licence."""

    @property
    def signature(self) -> str:
        """Changes whenever the tokens would: name, weights' hash, layers."""

    @property
    def device(self) -> str:
        """Where it computes, in words for the user."""

    @property
    def torch_device(self) -> torch.device:
        """Where its numbers are."""

    @property
    def window(self) -> Window | None:
        """The only window it was trained for, or None where any will do."""

    @property
    def metric(self) -> str:
        """How its tokens compare: ``"cosine"`` or ``"euclidean"``."""

    @property
    def is_learnt(self) -> bool:
        """Whether it was trained; the filters' channels mean the same for every volume."""

    @property
    def is_planar(self) -> bool:
        """Whether it sees one slice at a time, so that other planes add something."""

    @property
    def position_channels(self) -> int:
        """How many of the channels, the last ones, tell where in the volume a token is."""

    @property
    def block(self) -> int:
        """How many neighbouring slices it is best given at once."""

    def remarks(self, volume: Volume, plan: SlicePlan) -> tuple[str, ...]:
        """What a user should know before it is shown a volume."""

    def channels(self, images: int) -> int:
        """Numbers per token, of so many images of the same voxels."""

    def grid(self, slice_shape: tuple[int, int], plan: SlicePlan) -> tuple[int, int]:
        """Rows and columns of tokens for slices of this shape."""

    def encode(
        self, stack: SliceStack, start: int, stop: int, plan: SlicePlan
    ) -> NDArray[np.float16]:
        """Tokens (slices, channels, rows, columns) of slices ``start`` to ``stop``."""


_FILTERS = "filters"


def make_encoder(name: str, device: str, notice: Notice) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    name
        ``filters``, a name from the catalogue, or ``file:PATH``; see `EncoderName`.
    device
        ``auto``, ``cpu``, ``cuda``, ``mps`` or ``xpu``.
    notice
        Called with what the user should know (a fall-back to a smaller device).

    Raises
    ------
    WeightsError
        Where the name is unknown or its weights are missing or do not fit.
    EngineError
        Where this machine has no such device.
    """
    if name == _FILTERS:
        from napari_dinomed.features.device import choose_device
        from napari_dinomed.features.filters import FilterEncoder

        # It computes on the CPU; but one that is not there is a mistake.
        choose_device(device)
        return FilterEncoder()
    from napari_dinomed.features.backbone import BackboneEncoder

    return BackboneEncoder.from_name(name, device, notice)


def read_libraries(name: str) -> None:
    """Read what making an encoder needs beside its weights; errors as `make_encoder`."""
    if name != _FILTERS:
        from napari_dinomed.features.checkpoint import import_timm

        import_timm()
