"""Prompts as a user writes them down: on the command line, or in a JSON file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_dinomed.errors import PromptError
from napari_dinomed.segment.prompts import Meaning, Point, Prompts, Scribble
from napari_dinomed.session.file import load_session
from napari_dinomed.session.state import Annotation, new_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_dinomed.volume import Geometry

_T = TypeVar("_T")


def annotate(prompts: Prompts, meaning: Meaning) -> Annotation:
    """An annotation whose labels are those that the prompts name."""
    numbers = {prompt.label for prompt in prompts.all}
    labels = tuple(new_label(number, meaning) for number in sorted(numbers))
    return Annotation(labels, prompts)


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


def prompts_from_file(path: Path, geometry: Geometry) -> Prompts:
    """Prompts from JSON: ``{"points": [...]}`` on the file's grid, or a session file.

    In a plain file each point has ``voxel`` (k, j, i), ``label`` and ``include``; each
    scribble has ``voxels`` instead. A session's voxels are the canonical grid's.

    Raises
    ------
    PromptError
        Where the file cannot be read as prompts.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PromptError(f"Cannot read prompts from {path}: {error}") from error
    if isinstance(values, dict) and "annotation" in values:
        return load_session(path).annotation.prompts
    prompts = _checked(Prompts, values)
    prompts.require_inside(geometry.file_shape)
    return Prompts(
        tuple(
            Point(_canonical(p.voxel, geometry), p.label, p.include) for p in prompts.points
        ),
        tuple(
            Scribble(tuple(_canonical(v, geometry) for v in s.voxels), s.label, s.include)
            for s in prompts.scribbles
        ),
    )


def _canonical(voxel: Sequence[int], geometry: Geometry) -> tuple[int, int, int]:
    z, y, x = (int(i) for i in geometry.index_from_file([voxel])[0])
    return (z, y, x)


def _checked(kind: type[_T], values: Any) -> _T:
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PromptError(
            f"Expected prompts with voxel, label and include: {place}: {first['msg']}."
        ) from error
