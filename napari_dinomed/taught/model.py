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
from napari_dinomed.io.atomic import Stamp, replacing, unchanged_since
from napari_dinomed.io.tensors import Form, require_forms
from napari_dinomed.segment.one_object.looks import Basis
from napari_dinomed.taught.examples import Examples
from napari_dinomed.taught.header import KIND
from napari_dinomed.taught.learners import LEARNERS
from napari_dinomed.taught.settle import features_of
from napari_dinomed.taught.surroundings import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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

    def require_channels(self, channels: int) -> None:
        """Raise `ModelError` where tokens have another length than those that taught."""
        own = len(self.bases[0].mean)
        if own != channels:
            raise ModelError(
                f"Expected tokens of {own} numbers, which taught this model, got "
                f"{channels}. See the volume together with as many images as then, or "
                "teach another model."
            )

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

    def write(self, path: Path, since: Stamp = None) -> None:
        """Write the file; one that was read is replaced once all is written.

        Parameters
        ----------
        path, since
            The file, and its `stamp_of` before it was read; None where there was none.

        Raises
        ------
        WriteError
            Where another program has written it since; others as `replacing`.
        """
        with replacing(path, unchanged_since(since)) as temporary:
            temporary.write_bytes(self.to_bytes())


_COLUMNS = ("looks", "surroundings", "classes", "cases", "weights")


def read_model(path: Path) -> TaughtModel:
    """Read a taught model; errors as `Kind.read`, and where its parts do not fit."""
    header, tensors = KIND.read_all(path, "pt")
    axes = range(len(header.sight.axes))
    require_forms(tensors, _forms_of_bases(axes), path.name)
    bases = tuple(Basis(tensors[f"mean.{n}"], tensors[f"whiten.{n}"]) for n in axes)
    parts = sum(basis.whiten.shape[1] for basis in bases)
    require_forms(tensors, _forms_of_examples(parts), path.name)
    examples = Examples(*(tensors[f"examples.{column}"] for column in _COLUMNS))
    _require_taught(header, examples, path.name)
    learnt = {}
    for way in header.ways:
        told = features_of(examples.looks[:1], examples.surroundings[:1], way)
        forms = LEARNERS[way.learner].forms(told.shape[1], len(header.lessons))
        named = {name: f"learnt.{way}.{name}" for name in forms}
        require_forms(tensors, {named[name]: forms[name] for name in forms}, path.name)
        learnt[way] = {name: tensors[whole] for name, whole in named.items()}
    return TaughtModel(header, bases, examples, learnt)


def _forms_of_bases(axes: Iterable[int]) -> dict[str, Form]:
    """Tokens are as long along every axis."""
    forms = {}
    for n in axes:
        forms[f"mean.{n}"] = Form("float32", ("channels",))
        forms[f"whiten.{n}"] = Form("float32", ("channels", f"parts {n}"))
    return forms


def _forms_of_examples(parts: int) -> dict[str, Form]:
    return {
        "examples.looks": Form("float16", ("examples", parts)),
        "examples.surroundings": Form("float16", ("examples", PARTS)),
        "examples.classes": Form("int32", ("examples",)),
        "examples.cases": Form("int32", ("examples",)),
        "examples.weights": Form("float32", ("examples",)),
    }


def _require_taught(header: Header, examples: Examples, name: str) -> None:
    """Raise `ModelError` where examples are not of what the header says that taught."""
    pairs = torch.stack([examples.cases, examples.classes], dim=1)
    found = set(map(tuple, torch.unique(pairs, dim=0).tolist()))
    taught = {(case, one.label.id) for one in header.lessons for case in one.amounts}
    elsewhere = {(case, 0) for case in range(header.volumes)}
    is_known = taught <= found <= taught | elsewhere
    if not is_known or not (examples.weights > 0).all():
        raise ModelError(
            f"{name} is damaged: its parts do not go together. Expected examples of every "
            "label from each volume that taught it, and of no other."
        )
