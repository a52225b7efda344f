"""A readout of whole volumes, kept in a file: safetensors with a JSON header.

It holds features of the volumes that taught, which k-NN needs and which say what is most
similar, and the numbers of their rows; no voxel, no name and no path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter
from safetensors.numpy import save

from napari_dinomed import __version__
from napari_dinomed.engine.messages import Similar
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
        Of each label: ``LABEL.mean`` and ``LABEL.spread`` of the features, those that are
        ``known``, whether the label ``belongs`` to each, and its ``rows`` in the table that
        taught; a probe's ``weights`` and ``offset``.
    """

    header: Header
    arrays: Mapping[str, NDArray[Any]]

    def predict(self, label: str, features: Floats) -> Floats:
        """Probability (n,) of a label for features (n, parts)."""
        own = self._of(label)
        scaled = (features - own["mean"]) / own["spread"]
        if "weights" in own:
            score = scaled @ own["weights"] + own["offset"]
            return np.asarray(1 / (1 + np.exp(-score)))
        known, belongs = own["known"], own["belongs"]
        cosine = _likeness(scaled, known)
        count = self.header.heads[label].neighbours
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :count]
        distance = 1 - np.take_along_axis(cosine, nearest, axis=1)
        votes = 1 / np.maximum(distance, _LEAST_DISTANCE)
        share = (votes * belongs[nearest]).sum(1) / votes.sum(1)
        return np.asarray(share)

    def most_similar(self, label: str, features: Floats, count: int) -> tuple[Similar, ...]:
        """Volumes that taught a label and look most like one of features (1, parts)."""
        own = self._of(label)
        cosine = _likeness((features - own["mean"]) / own["spread"], own["known"])[0]
        nearest = np.argsort(-cosine, kind="stable")[:count]
        return tuple(
            Similar(int(own["rows"][n]), float(cosine[n]), bool(own["belongs"][n]))
            for n in nearest
        )

    def _of(self, label: str) -> dict[str, NDArray[Any]]:
        """The arrays of one label, by what they are."""
        forms = _FORMS[self.header.heads[label].readout]
        return {name: self.arrays[f"{label}.{name}"] for name in forms}

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
    label: str,
    fitted: Any,
    features: Floats,
    belongs: NDArray[np.bool_],
    rows: NDArray[np.integer],
) -> tuple[dict[str, NDArray[Any]], int]:
    """Arrays of a classifier that `readout.fit` made of features (n, parts).

    Parameters
    ----------
    label, fitted
        What it tells, and the classifier.
    features, belongs, rows
        What taught it, whether the label was true, and where in the table each stood.

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
    arrays |= {"known": (features - arrays["mean"]) / arrays["spread"], "belongs": belongs}
    is_probe = hasattr(head, "coef_")
    if is_probe:
        arrays |= {"weights": head.coef_[0], "offset": head.intercept_}
    own = {f"{label}.{name}": np.asarray(one, np.float32) for name, one in arrays.items()}
    own[f"{label}.rows"] = np.asarray(rows, np.int32)
    return own, 0 if is_probe else int(head.n_neighbors)


def read_whole_header(path: Path) -> Header:
    """Read the header of a model alone; errors as `Kind.read`."""
    return _KIND.read(path)


def read_whole_model(path: Path) -> WholeModel:
    """Read a model; errors as `Kind.read`, and where its parts do not fit."""
    header, arrays = _KIND.read_all(path, "np")
    for label, head in header.heads.items():
        forms = {f"{label}.{name}": form for name, form in _FORMS[head.readout].items()}
        require_forms(arrays, forms, path.name)
    return WholeModel(header, arrays)


_KIND = Kind("dinowhole", TypeAdapter(Header), "model", "volumes fit")
_KNOWN = {
    "mean": Form("float32", ("parts",)),
    "spread": Form("float32", ("parts",)),
    "known": Form("float32", ("known", "parts")),
    "belongs": Form("float32", ("known",)),
    "rows": Form("int32", ("known",)),
}
_FORMS: Mapping[Readout, Mapping[str, Form]] = {
    "probe": _KNOWN
    | {"weights": Form("float32", ("parts",)), "offset": Form("float32", (1,))},
    "knn": _KNOWN,
}


def _likeness(some: Floats, others: Floats) -> Floats:
    """Cosines of rows (n, parts) with others (m, parts), as (n, m)."""
    return np.asarray(_unit(some) @ _unit(others).T)


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, _LEAST_DISTANCE))
