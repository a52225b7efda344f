"""An adapter of an encoder, kept in a file: what it is, and to which encoder it belongs.

In and out: ``NAME.dinoadapt``, safetensors with a JSON header. It holds no voxel, no
patient and no path.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from napari_dinomed import __version__
from napari_dinomed.errors import WeightsError
from napari_dinomed.features.catalog import CATALOG
from napari_dinomed.io.atomic import replacing, unchanged_since
from napari_dinomed.io.tensors import Kind
from napari_dinomed.volume import Modality
from napari_dinomed.volume.colours import Stain
from napari_dinomed.volume.geometry import NANOMETRES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from napari_dinomed.features.stack import SlicePlan
    from napari_dinomed.volume import Volume

# Voxels, and pixels of what an encoder is shown, look different beyond such a factor.
_ODD = 1.5
# And stains, from such a difference of shares: mixtures of haematoxylin and eosin differ by
# a tenth, one of haematoxylin and a brown dye from them by two.
_OTHER_STAIN = 0.15
_COLOURED = {False: "grey images", True: "pictures in colour"}
# Standard deviation of what is normal, in median deviations.
_NORMAL = 1.4826
# Gain in Dice below which all features are not worth computing again.
_LEAST_GAIN = 0.02


@dataclass(frozen=True)
class Scale:
    """How large what an encoder is shown is in the world.

    Parameters
    ----------
    spacing, unit
        Size of a voxel along (z, y, x).
    pixel
        Side of a pixel that the encoder is shown, in the same unit.
    """

    spacing: tuple[float, float, float]
    unit: str
    pixel: float

    @classmethod
    def of(cls, volume: Volume, plan: SlicePlan) -> Scale:
        """Of a volume that is cut along z."""
        geometry = volume.geometry
        rows = geometry.shape[1] * geometry.spacing[1]
        return cls(geometry.spacing, str(geometry.unit), rows / plan.height)


@dataclass(frozen=True)
class Trial:
    """Dice on slices that did not teach, frozen and adapted, read in the same way.

    Parameters
    ----------
    label, readout
        Of what, and read by which.
    frozen, adapted
        For each fold.
    usual
        Frozen, and shown slices as it usually is; empty where the adapter changes nothing
        of that.
    """

    label: str
    readout: Literal["probe", "knn"]
    frozen: tuple[float, ...]
    adapted: tuple[float, ...]
    usual: tuple[float, ...] = ()

    @property
    def gains(self) -> tuple[float, ...]:
        """What adapting added for each fold, to what is better without it."""
        usual = self.usual or self.frozen
        folds = zip(self.frozen, usual, self.adapted, strict=True)
        return tuple(adapted - max(without) for *without, adapted in folds)


@dataclass(frozen=True)
class AdapterHeader:
    """All of an adapter but its numbers.

    Parameters
    ----------
    encoder, weights
        Name of the encoder that it was made for, and the hash of its weights.
    modality, scale
        What kind of volume taught it, and how it was seen.
    side, read
        Pixels of a slice's shorter side, and how many blocks make a token.
    rank, blocks, rate, lessons
        How it was taught.
    labels
        Names of what it was taught by.
    volumes, slices
        How many taught it.
    held_out
        What was held out in a fold.
    trials
        How well it did on what was held out; every fold taught an adapter of its own.
    program
        Version that wrote it.
    seed
        What it began from, and was shown crops by.
    stain
        As of `stain_of`, of the first volume.
    losses
        After each lesson, of each fold's adapter and of the one that was kept.
    """

    encoder: str
    weights: str
    modality: Modality
    scale: Scale
    side: int
    read: int
    rank: int
    blocks: tuple[int, ...]
    rate: float
    lessons: int
    labels: tuple[str, ...]
    volumes: int
    slices: int
    held_out: Literal["slices", "volumes"]
    trials: tuple[Trial, ...]
    program: str = __version__
    version: Literal[1] = 1
    seed: int = 0
    stain: Stain | None = None
    losses: tuple[tuple[float, ...], ...] = ()

    @property
    def gains(self) -> tuple[float, ...]:
        """What adapting added in each fold by the linear probe, mean over labels.

        Votes of few neighbours are too rough to decide by: they tie where all agree.
        """
        read = (trial.gains for trial in self.trials if trial.readout == "probe")
        columns = zip(*read, strict=True)
        return tuple(statistics.fmean(column) for column in columns)

    @property
    def gain(self) -> float:
        """What it adds in the median fold: one alone, where either failed, tells little."""
        return statistics.median(self.gains)

    @property
    def spread(self) -> float:
        """Standard deviation over folds, by the median one, which no single fold makes."""
        gain = self.gain
        return _NORMAL * statistics.median(abs(each - gain) for each in self.gains)

    @property
    def is_better(self) -> bool:
        """Whether it won every fold, by more than their spread and enough to matter."""
        return min(self.gains) > 0 and self.gain > max(self.spread, _LEAST_GAIN)

    def encoder_alone(self, path: Path) -> str:
        """The encoder that an adapter named without one belongs to.

        Raises
        ------
        WeightsError
            Where it is no one's but the user's.
        """
        if self.encoder not in CATALOG:
            raise WeightsError(
                f"{path.name} was made for weights of your own, {self.encoder}: name them "
                f"too, as file:PATH+{path.name}."
            )
        return self.encoder

    def require_weights(self, weights: str) -> None:
        """Raise `WeightsError` where an encoder's weights are other ones."""
        if weights != self.weights:
            raise WeightsError(
                f"This adapter was made for {self.encoder} with weights of SHA-256 "
                f"{self.weights[:12]}…, and these have {weights[:12]}…: use it with that "
                "encoder, or adapt this one."
            )

    def differences(
        self, modality: Modality, scale: Scale, stain: Stain | None = None
    ) -> tuple[str, ...]:
        """What a user should know where a volume is another kind, or seen otherwise."""
        own, said = self.scale, []
        if modality != self.modality:
            said.append(f"it was adapted on {self.modality}, and this is {modality}")
        if _is_odd(own, scale):
            said.append(f"it was adapted on {_said(own)}, and this has {_said(scale)}")
        if (stain is None) != (self.stain is None):
            kinds = [_COLOURED[one is not None] for one in (self.stain, stain)]
            said.append(f"it was adapted on {kinds[0]}, and this is {kinds[1]}")
        elif stain is not None and _apart(stain, self.stain or stain) > _OTHER_STAIN:
            said.append("it was adapted on another stain")
        if not self.is_better:
            said.append("it did not do better than the frozen encoder when it was made")
        return tuple(said)


@dataclass(frozen=True, eq=False)
class Adapter:
    """A taught adapter.

    Parameters
    ----------
    header
        What it is.
    tensors
        A layer's name with ``.down`` or ``.up``, and its numbers.
    """

    header: AdapterHeader
    tensors: Mapping[str, torch.Tensor]

    def write(self, path: Path) -> None:
        """Write the file; WriteError where there is one by now, others as `replacing`."""
        from safetensors.torch import save

        contiguous = {name: one.half().contiguous() for name, one in self.tensors.items()}
        with replacing(path, unchanged_since(None)) as temporary:
            temporary.write_bytes(save(contiguous, KIND.metadata(self.header)))


KIND = Kind("dinoadapt", TypeAdapter(AdapterHeader), "adapter", "adapt")


def read_adapter(path: Path) -> Adapter:
    """Read an adapter; errors as `Kind.read`."""
    return Adapter(*KIND.read_all(path, "pt"))


def _is_odd(own: Scale, other: Scale) -> bool:
    """Whether something is far larger or smaller, or cannot be compared."""
    units = [NANOMETRES.get(one.unit) for one in (own, other)]
    if own.unit != other.unit and None in units:
        return True
    first, second = (
        [length * (unit or 1.0) for length in (*one.spacing, one.pixel)]
        for one, unit in zip((own, other), units, strict=True)
    )
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    return max(*ratios, *(1 / ratio for ratio in ratios)) > _ODD


def _apart(first: Stain, second: Stain) -> float:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def _said(scale: Scale) -> str:
    lengths = " × ".join(f"{length:.3g}" for length in scale.spacing)
    return f"voxels of {lengths} {scale.unit} seen at {scale.pixel:.3g} {scale.unit}"
