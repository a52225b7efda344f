"""Frozen vision backbones from timm as encoders."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.errors import EngineError, WeightsError
from napari_dinomed.features.adapter import Scale, read_adapter
from napari_dinomed.features.batch import MOST, settled_batch
from napari_dinomed.features.checkpoint import Checkpoint, load_checkpoint
from napari_dinomed.features.device import (
    choose_device,
    computing_in,
    describe_device,
    is_out_of_memory,
    placed,
)
from napari_dinomed.features.hardware import tell_of_unused_gpu
from napari_dinomed.features.lora import fold
from napari_dinomed.features.naming import EncoderName, known_as
from napari_dinomed.features.precision import settled_precision
from napari_dinomed.features.weights import file_hash, locate_weights
from napari_dinomed.volume.colours import stain_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinomed.features.adapter import AdapterHeader
    from napari_dinomed.features.encoder import EncoderSpec, Notice
    from napari_dinomed.features.stack import SlicePlan, SliceStack
    from napari_dinomed.volume import Volume, Window

_CONVNEXT_STRIDE = 16
# The last stages of a ConvNeXt that are read at most: those before see hardly more than
# grey values.
_STAGES = 2
# Rows and columns of tokens in the image that the precisions are timed on.
_TRIED = 16


class BackboneEncoder:
    """A frozen transformer or ConvNeXt; several of its layers make a token.

    Concatenating blocks at each quarter of the depth (2, 5, 8, 11 of 12) follows
    MedDINOv3 (arXiv 2509.02379).
    """

    metric = "cosine"
    is_learnt = True
    is_planar = True
    position_channels = 0

    def __init__(
        self,
        checkpoint: Checkpoint,
        spec: EncoderSpec,
        weights_hash: str,
        device: torch.device,
        notice: Notice,
        adapter: AdapterHeader | None = None,
    ) -> None:
        self.model: Any
        self.model, self._device = placed(checkpoint.model, device, notice)
        self._adapter = adapter
        self._statistics = checkpoint.statistics
        self._notice = notice
        self._most = MOST[self._device.type]
        self.weights_hash = weights_hash
        self._architecture = checkpoint.architecture
        self._see_as(spec)

    @classmethod
    def from_name(cls, name: str, device: str, notice: Notice) -> BackboneEncoder:
        """Load what a name stands for; errors as `make_encoder`."""
        if device == "auto":
            tell_of_unused_gpu(notice)
        asked, where = EncoderName.parse(name), choose_device(device)
        if asked.adapter is not None:
            return cls._adapted(name, asked, where, notice)
        path, spec = locate_weights(asked.base)
        spec = replace(spec, name=name).seen_at(asked.side, asked.blocks)
        weights = file_hash(path)
        checkpoint = load_checkpoint(path, spec.architecture or None)
        return cls(checkpoint, spec, weights, where, notice)

    @classmethod
    def _adapted(
        cls, name: str, asked: EncoderName, where: torch.device, notice: Notice
    ) -> BackboneEncoder:
        assert asked.adapter is not None
        adapter = read_adapter(asked.adapter)
        header = adapter.header
        path, spec = locate_weights(asked.base or header.encoder_alone(asked.adapter))
        weights = file_hash(path)
        header.require_weights(weights)
        checkpoint = load_checkpoint(path, spec.architecture or None)
        fold(checkpoint.model, adapter.tensors)
        title = f"{spec.title} + {asked.adapter.stem}"
        spec = replace(spec, name=name, title=title).seen_at(header.side, header.read)
        signature = f"{weights}+{file_hash(asked.adapter)}"
        return cls(checkpoint, spec, signature, where, notice, header)

    def seen_as(self, spec: EncoderSpec) -> BackboneEncoder:
        """The same weights, shown slices and read as another entry says."""
        other = copy(self)
        other._see_as(spec)
        return other

    def _see_as(self, spec: EncoderSpec) -> None:
        self.indices = _layer_indices(self.model, spec)
        channels = _channels(self.model, self.indices)
        self.spec = replace(spec, channels=channels, stride=self._stride)
        self.signature = f"{self._architecture}:{self.weights_hash}:{self.indices}"
        if spec.only_side is not None:
            self.signature += f":{spec.only_side}"
        self._batches: dict[tuple[int, int], int] = {}

    @property
    def device(self) -> str:
        """Where it computes, in words for the user."""
        return describe_device(self._device)

    @property
    def window(self) -> Window | None:
        """The window that its training used, where only that one makes sense."""
        return self._statistics.window

    @property
    def block(self) -> int:
        """Slices in a batch at most."""
        return self._most

    def remarks(self, volume: Volume, plan: SlicePlan) -> tuple[str, ...]:
        """Where an adapter was taught by other kinds of volumes."""
        if self._adapter is None:
            return ()
        differences = self._adapter.differences(
            volume.modality, Scale.of(volume, plan), stain_of(volume)
        )
        return tuple(f"{known_as(self.spec.name)}: {one}." for one in differences)

    @property
    def torch_device(self) -> torch.device:
        """Where its numbers are."""
        return self._device

    @property
    def _stride(self) -> int:
        if hasattr(self.model, "patch_embed"):
            return int(self.model.patch_embed.patch_size[0])
        return _CONVNEXT_STRIDE

    def channels(self, images: int) -> int:
        """Numbers per token; further images are further colours of the same input."""
        del images
        return self.spec.channels

    def grid(self, slice_shape: tuple[int, int], plan: SlicePlan) -> tuple[int, int]:
        """Rows and columns of tokens of a slice once it is resized."""
        del slice_shape
        rows, columns = (
            max(1, round(size / self._stride)) for size in (plan.height, plan.width)
        )
        return rows, columns

    def encode(
        self, stack: SliceStack, start: int, stop: int, plan: SlicePlan
    ) -> NDArray[np.float16]:
        """Tokens (slices, channels, rows, columns), concatenated over the layers.

        Out of memory halves the batch, then moves to the CPU, and says so.

        Raises
        ------
        EngineError
            Where there is no room for one slice on the CPU.
        """
        slices = torch.from_numpy(stack.colours(start, stop))
        size = self.grid(stack.slice_shape, plan)
        batch = self._batch(size)
        done: list[torch.Tensor] = []
        while sum(len(tokens) for tokens in done) < len(slices):
            first = sum(len(tokens) for tokens in done)
            try:
                done.append(self._forward(slices[first : first + batch], size))
                continue
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Only here the error, and with it what was computed so far, is let go.
            self._shrink(batch)
            batch = self._batch(size)
        return torch.cat(done).numpy()

    def shown_size(self, slice_shape: tuple[int, int], plan: SlicePlan) -> tuple[int, int]:
        """Rows and columns of pixels that a slice is brought to."""
        return self._pixels(self.grid(slice_shape, plan))

    def _pixels(self, grid: tuple[int, int]) -> tuple[int, int]:
        return grid[0] * self._stride, grid[1] * self._stride

    def _batch(self, grid: tuple[int, int]) -> int:
        """Slices in a batch, of so many rows and columns of tokens."""
        if grid not in self._batches:
            shown = (3, *self._pixels(grid))
            model = f"{self.signature} {grid} {self._precision}"
            self._batches[grid] = settled_batch(
                self._device,
                model,
                lambda size: self._forward(torch.zeros((size, *shown)), grid),
            )
        return min(self._most, self._batches[grid])

    @torch.inference_mode()
    def _forward(self, slices: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        if self._device.type == "cuda":
            # From memory that stays where it is, a GPU fetches by itself.
            slices = slices.pin_memory()
        images = functional.interpolate(
            slices.to(self._device, non_blocking=True),
            self._pixels(grid),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        with computing_in(self._device, self._precision):
            layers = self.layers(images)
        return torch.cat([_fit(layer, grid) for layer in layers], dim=1).half().cpu()

    @cached_property
    def _precision(self) -> torch.dtype | None:
        """The fastest precision on this device, tried on a small image of noise."""
        side = _TRIED * self._stride
        noise = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(0))
        image = noise.to(self._device)
        return settled_precision(
            self._device, self.signature, lambda: self.layers(image)[-1].flatten(2)[0].T
        )

    def layers(self, images: torch.Tensor) -> list[torch.Tensor]:
        """What each layer makes of images (n, 3, rows, columns) in [0, 1]."""
        mean, std = (
            torch.tensor(values, device=self._device).view(1, 3, 1, 1)
            for values in (self._statistics.mean, self._statistics.std)
        )
        layers: list[torch.Tensor] = self.model.forward_intermediates(
            (images - mean) / std,
            indices=self.indices,
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return layers

    def _shrink(self, batch: int) -> None:
        """Go on with less at once, after so many slices had no room."""
        if batch > 1:
            self._most = batch // 2
            self._notice(
                f"{self.device} ran out of memory: going on with {self._most} slices "
                "at a time."
            )
            return
        if self._device.type == "cpu":
            raise EngineError(
                f"There is no memory left for a single slice in {self.spec.title}. Close "
                "other programs or volumes, or choose a smaller encoder."
            )
        self._notice(f"{self.device} ran out of memory: going on with the CPU.")
        self._device = torch.device("cpu")
        self.model = self.model.to(self._device)
        self._most = MOST["cpu"]
        self._batches = {}
        self.__dict__.pop("_precision", None)


def _layer_indices(model: Any, spec: EncoderSpec) -> list[int]:
    """Blocks evenly spaced over a transformer's depth; a ConvNeXt's last stages."""
    blocks = spec.blocks
    if not hasattr(model, "blocks"):
        stages = len(model.feature_info)
        return list(range(stages - min(blocks, _STAGES), stages))
    depth = len(model.blocks)
    if blocks > depth:
        raise WeightsError(
            f"Expected at most {depth} blocks of {spec.title}, got {blocks}."
        )
    return [depth * (part + 1) // blocks - 1 for part in range(blocks)]


def _channels(model: Any, indices: list[int]) -> int:
    return sum(int(model.feature_info[index]["num_chs"]) for index in indices)


def _fit(layer: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """A layer on the token grid; a ConvNeXt's deepest stage is coarser than it."""
    if tuple(layer.shape[-2:]) == grid:
        return layer.float()
    return functional.interpolate(layer.float(), grid, mode="bilinear", align_corners=False)
