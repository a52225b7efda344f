"""A taught model: labels, and examples of what they look like to one encoder.

In and out: ``NAME.dinomed``, a safetensors file whose header is JSON. It holds no image,
no patient and no path: an example is a few whitened parts of tokens, and a few grey values
at and around some place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from napari_dinomed.errors import ModelError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.segment.one_object.looks import Basis
from napari_dinomed.taught.examples import Examples
from napari_dinomed.taught.header import KIND
from napari_dinomed.taught.surroundings import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_dinomed.taught.header import Header, Way
    from napari_dinomed.taught.learners import Learnt


@dataclass(frozen=True, eq=False)
class TaughtModel:
    """Labels that were taught.

    Parameters
    ----------
    header
        What it is.
    bases
        Principal parts of the encoder's tokens along each axis.
    examples
        Of all volumes, on these bases.
    learnt
        What each way that some label is read by has learnt from the examples.
    """

    header: Header
    bases: tuple[Basis, ...]
    examples: Examples
    learnt: Mapping[Way, Learnt] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file."""
        tensors = {
            **{f"mean.{n}": basis.mean for n, basis in enumerate(self.bases)},
            **{f"whiten.{n}": basis.whiten for n, basis in enumerate(self.bases)},
            **{f"examples.{name}": getattr(self.examples, name) for name in _COLUMNS},
            **{
                f"learnt.{way}.{name}": value
                for way, learnt in self.learnt.items()
                for name, value in learnt.items()
            },
        }
        contiguous = {name: value.contiguous() for name, value in tensors.items()}
        return save(contiguous, KIND.metadata(self.header))

    def write(self, path: Path) -> None:
        """Write the file; an old one is replaced once all is written."""
        with replacing(path) as temporary:
            temporary.write_bytes(self.to_bytes())


_COLUMNS = ("looks", "surroundings", "classes", "cases", "weights")


def read_model(path: Path) -> TaughtModel:
    """Read a taught model; errors as `Kind.read`, and where its parts do not fit."""
    return _checked(*KIND.read_all(path, "pt"), path.name)


def _checked(header: Header, tensors: dict[str, torch.Tensor], name: str) -> TaughtModel:
    """A model whose parts go together."""
    try:
        bases = tuple(
            Basis(tensors[f"mean.{n}"], tensors[f"whiten.{n}"])
            for n in range(len(header.sight.axes))
        )
        examples = Examples(*(tensors[f"examples.{column}"] for column in _COLUMNS))
        parts = sum(basis.whiten.shape[1] for basis in bases)
        count = len(examples)
        fits = (
            examples.looks.shape == (count, parts)
            and examples.surroundings.shape == (count, PARTS)
            and all(len(getattr(examples, column)) == count for column in _COLUMNS)
            and all(basis.mean.shape == basis.whiten.shape[:1] for basis in bases)
        )
        learnt = {way: _learnt(tensors, way) for way in header.ways}
    except (KeyError, IndexError) as error:
        raise ModelError(f"{name} is damaged: {error} is missing.") from error
    if not fits or not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ModelError(f"{name} is damaged: its parts do not go together.")
    return TaughtModel(header, bases, examples, learnt)


def _learnt(tensors: dict[str, torch.Tensor], way: Way) -> Learnt:
    """What a way has learnt; missing if there is nothing of it."""
    prefix = f"learnt.{way}."
    found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if not found:
        raise KeyError(prefix)
    return found
