"""Prompts as a user writes them down: on the command line, or in a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_dinomed.annotation.labels import Label, LabelId, Meaning, new_label
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Prompts, Stroke, Voxel
from napari_dinomed.annotation.region import Region, Role
from napari_dinomed.errors import PromptError
from napari_dinomed.io.source import require_regular
from napari_dinomed.session.file import load_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.volume import Geometry, Volume

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Scribble:
    voxels: tuple[Voxel, ...]
    label: LabelId
    include: bool = True


@dataclass(frozen=True)
class _Box:
    first: Voxel
    last: Voxel
    label: LabelId
    role: Role = Role.INSIDE


@dataclass(frozen=True)
class _Written:
    points: tuple[Point, ...] = ()
    scribbles: tuple[_Scribble, ...] = ()
    boxes: tuple[_Box, ...] = ()


def annotate(
    prompts: Prompts, meaning: Meaning, known: tuple[Label, ...] = ()
) -> tuple[Label, ...]:
    """The labels that prompts name: known ones as they are, others made up."""
    numbers = {prompt.label for prompt in prompts.all}
    named = {label.id: label for label in known}
    return tuple(named.get(n) or new_label(n, meaning) for n in sorted(numbers))


def point_from_text(text: str, geometry: Geometry, world: bool) -> Point:
    """A prompt written ``K,J,I=LABEL`` or ``X,Y,Z=LABEL``; a minus before LABEL excludes.

    Parameters
    ----------
    text
        What the user typed.
    geometry
        The volume's grid.
    world
        Whether the three numbers are world coordinates, rather than the file's own voxel
        indices, slowest first.

    Raises
    ------
    PromptError
        Where the text cannot be read or the point lies outside the volume.
    """
    place, _, label = text.partition("=")
    try:
        numbers = [float(part) if world else int(part) for part in place.split(",")]
        signed = int(label)
        first, second, third = numbers
    except ValueError as error:
        expected = "X,Y,Z=LABEL" if world else "K,J,I=LABEL"
        raise PromptError(
            f"Expected a prompt like {expected} (or =-LABEL to exclude), got {text!r}."
        ) from error
    if world:
        index = np.rint(geometry.from_world([[first, second, third]])).astype(np.int64)
        limits, axes = geometry.shape, "z, y, x"
    else:
        index = np.array([[first, second, third]], dtype=np.int64)
        limits, axes = geometry.file_shape, "k, j, i"
    if any(not 0 <= i < n for i, n in zip(index[0], limits, strict=True)):
        raise PromptError(
            f"The prompt {text!r} lies at voxel {tuple(map(int, index[0]))} ({axes}), "
            f"outside the volume of {limits} voxels."
        )
    if not world:
        index = geometry.index_from_file(index)
    z, y, x = (int(i) for i in index[0])
    return _checked(
        Point, {"voxel": (z, y, x), "label": abs(signed), "include": signed > 0}
    )


def regions_from_text(text: str, geometry: Geometry) -> tuple[Region, ...]:
    """A box written ``K,J,I:K,J,I=LABEL``: the label is inside of it.

    A minus before LABEL says that nothing in it belongs.

    Parameters
    ----------
    text
        What the user typed: opposite corners, both in it, on the file's own grid.
    geometry
        The volume's grid.

    Raises
    ------
    PromptError
        Where the text cannot be read or a corner lies outside the volume.
    """
    places, _, label = text.partition("=")
    try:
        first, last = (
            tuple(int(n) for n in corner.split(",")) for corner in places.split(":")
        )
        signed = int(label)
    except ValueError as error:
        raise PromptError(
            f"Expected a box like K,J,I:K,J,I=LABEL (or =-LABEL to exclude), got {text!r}."
        ) from error
    role = Role.INSIDE if signed > 0 else Role.EXCLUDE
    written = {"first": first, "last": last, "label": abs(signed), "role": role}
    return _regions(_checked(_Box, written), geometry)


def _regions(box: _Box, geometry: Geometry) -> tuple[Region, ...]:
    """A box of three axes as regions; what it is inside of takes two of them."""
    corners = _canonical([box.first, box.last], geometry)
    low, high = corners.min(0), corners.max(0)
    if box.role is not Role.INSIDE:
        return (_prism(low, high, 0, (int(low[0]), int(high[0]) + 1), box),)
    return tuple(_prism(low, high, axis, (0, geometry.shape[axis]), box) for axis in (0, 1))


def _prism(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    axis: int,
    span: tuple[int, int],
    box: _Box,
) -> Region:
    """A rectangle from voxel to voxel, through slices along an axis."""
    (a, b), (c, d) = (
        (float(low[side]) - 0.5, float(high[side]) + 0.5)
        for side in range(3)
        if side != axis
    )
    middle = int(low[axis] + high[axis]) // 2
    outline = ((a, c), (a, d), (b, d), (b, c))
    return Region(outline, axis, span, middle, box.label, box.role)


def prompts_from_file(path: Path, volume: Volume) -> tuple[tuple[Label, ...], Prompts]:
    """Labels that a file describes, and its prompts: from a document, or from JSON.

    In plain JSON, ``{"points": [...], "scribbles": [...]}``, a point has ``voxel`` (k, j,
    i on the file's grid), ``label`` and ``include``; a scribble has ``voxels`` instead. In
    ``boxes``, each has opposite corners ``first`` and ``last``, ``label``, and as ``role``
    ``inside``, ``include`` or ``exclude``. It describes no labels.

    Raises
    ------
    PromptError
        Where the file cannot be read as prompts.
    ReadError, DocumentError
        Where it is no file, or a document that cannot be read, or of another volume.
    """
    require_regular(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PromptError(f"Cannot read prompts from {path}: {error}") from error
    if isinstance(values, dict) and "document" in values:
        saved = load_document(path)
        saved.require_volume(volume.fingerprint, path.name)
        return saved.document.labels, saved.document.prompts
    geometry = volume.geometry
    written = _checked(_Written, values)
    strokes = tuple(
        Stroke(Mask.of_voxels(_canonical(s.voxels, geometry)), s.label, s.include)
        for s in written.scribbles
        if s.voxels
    )
    voxels = _canonical([p.voxel for p in written.points], geometry).tolist()
    points = tuple(
        Point((z, y, x), p.label, p.include)
        for p, (z, y, x) in zip(written.points, voxels, strict=True)
    )
    regions = (region for box in written.boxes for region in _regions(box, geometry))
    return (), Prompts((*strokes, *regions, *points))


def _canonical(voxels: Sequence[Voxel], geometry: Geometry) -> NDArray[np.int64]:
    """Voxels (n, 3) of the canonical grid, from those of the file's.

    Raises
    ------
    PromptError
        Where one lies outside.
    """
    inside = np.array(voxels, dtype=np.int64).reshape(-1, 3)
    outside = ((inside < 0) | (inside >= geometry.file_shape)).any(1)
    if outside.any():
        raise PromptError(
            f"The prompt at voxel {tuple(inside[outside][0].tolist())} (k, j, i) lies "
            f"outside the volume of {geometry.file_shape} voxels."
        )
    return geometry.index_from_file(inside)


def _checked(kind: type[_T], values: Any) -> _T:
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PromptError(
            f"Expected prompts with voxel, label and include: {place}: {first['msg']}."
        ) from error
