"""A readout of whole volumes, kept in a file: safetensors with a JSON header.

It holds features of the volumes that taught where k-NN needs them, no voxel and no path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter
from safetensors.numpy import save

from napari_dinomed import __version__
from napari_dinomed.errors import ModelError
from napari_dinomed.features.naming import known_as
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.tensors import Form, Kind, require_forms
from napari_dinomed.taught.header import Sight
from napari_dinomed.whole.readout import Figures, Readout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

SUFFIX = ".dinowhole"
_LEAST_DISTANCE = 1e-7


@dataclass(frozen=True)
class Head:
    """How one label is read.

    Parameters
    ----------
    readout
        By which.
    neighbours
        How many vote; 0 for a probe.
    figures
        How well, on volumes that did not teach.
    """

    readout: Readout
    neighbours: int
    figures: Figures


@dataclass(frozen=True)
class Header:
    """All of a model but its numbers.

    Parameters
    ----------
    sight
        How the volumes were seen.
    heads
        How each label is read.
    is_within
        Whether volumes were looked at within a region of interest.
    program
        Version that wrote it.
    """

    sight: Sight
    heads: dict[str, Head]
    is_within: bool
    program: str = __version__
    version: Literal[1] = 1


@dataclass(frozen=True, eq=False)
class WholeModel:
    """Labels of whole volumes that were taught.

    Parameters
    ----------
    header
        What it is.
    arrays
        Of each label: ``LABEL.mean`` and ``LABEL.spread`` of the features, then a probe's
        ``weights`` and ``offset``, or k-NN's ``known`` features and their ``belongs``.
    """

    header: Header
    arrays: Mapping[str, NDArray[np.float32]]

    def predict(self, label: str, features: Floats) -> Floats:
        """Probability (n,) of a label for features (n, parts)."""
        own = {
            name: self.arrays[f"{label}.{name}"]
            for name in _FORMS[self.header.heads[label].readout]
        }
        scaled = (features - own["mean"]) / own["spread"]
        if "weights" in own:
            score = scaled @ own["weights"] + own["offset"]
            return np.asarray(1 / (1 + np.exp(-score)))
        known, belongs = own["known"], own["belongs"]
        cosine = _unit(scaled) @ _unit(known).T
        count = self.header.heads[label].neighbours
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :count]
        distance = 1 - np.take_along_axis(cosine, nearest, axis=1)
        votes = 1 / np.maximum(distance, _LEAST_DISTANCE)
        share = (votes * belongs[nearest]).sum(1) / votes.sum(1)
        return np.asarray(share)

    def require_encoder(self, name: str, signature: str) -> None:
        """Raise `ModelError` where volumes would be seen by another encoder."""
        own = self.header.sight
        if own.signature != signature:
            raise ModelError(
                f"Expected features of {own.encoder}, which taught this model, got "
                f"{known_as(name)}, or other weights of that name."
            )

    def refusal(self, is_within: bool) -> str | None:
        """Why a volume cannot be told: it is looked at elsewhere than those that taught."""
        if is_within == self.header.is_within:
            return None
        wanted = "a" if self.header.is_within else "no"
        return f"This model was taught with {wanted} region of interest."

    def write(self, path: Path) -> None:
        """Write the file; an old one is replaced once all is written."""
        arrays = {name: np.ascontiguousarray(value) for name, value in self.arrays.items()}
        with replacing(path) as temporary:
            temporary.write_bytes(save(arrays, _KIND.metadata(self.header)))


def arrays_of(
    label: str, fitted: Any, features: Floats, belongs: NDArray[np.bool_]
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Arrays of a classifier that `readout.fit` made of features (n, parts).

    Returns
    -------
    dict, int
        The arrays, and how many neighbours vote; 0 for a probe.
    """
    scale, head = fitted["scale"], fitted["head"]
    parts = features.shape[1]
    is_scaled = scale != "passthrough"
    arrays: dict[str, Any] = {
        "mean": scale.mean_ if is_scaled else np.zeros(parts),
        "spread": scale.scale_ if is_scaled else np.ones(parts),
    }
    is_probe = hasattr(head, "coef_")
    if is_probe:
        arrays |= {"weights": head.coef_[0], "offset": head.intercept_}
    else:
        known = (features - arrays["mean"]) / arrays["spread"]
        arrays |= {"known": known, "belongs": belongs}
    own = {f"{label}.{name}": np.asarray(one, np.float32) for name, one in arrays.items()}
    return own, 0 if is_probe else int(head.n_neighbors)


def read_whole_model(path: Path) -> WholeModel:
    """Read a model; errors as `Kind.read`, and where its parts do not fit."""
    header, arrays = _KIND.read_all(path, "np")
    for label, head in header.heads.items():
        forms = {f"{label}.{name}": form for name, form in _FORMS[head.readout].items()}
        require_forms(arrays, forms, path.name)
    return WholeModel(header, arrays)


_KIND = Kind("dinowhole", TypeAdapter(Header), "model", "volumes fit")
_FORMS: Mapping[Readout, Mapping[str, Form]] = {
    "probe": {
        "mean": Form("float32", ("parts",)),
        "spread": Form("float32", ("parts",)),
        "weights": Form("float32", ("parts",)),
        "offset": Form("float32", (1,)),
    },
    "knn": {
        "mean": Form("float32", ("parts",)),
        "spread": Form("float32", ("parts",)),
        "known": Form("float32", ("known", "parts")),
        "belongs": Form("float32", ("known",)),
    },
}


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, _LEAST_DISTANCE))
