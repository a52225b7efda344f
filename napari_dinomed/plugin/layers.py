"""Between napari's layers and volumes: one grid, one place in the world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_dinomed.errors import VolumeError
from napari_dinomed.io import Origin
from napari_dinomed.volume import (
    Geometry,
    NamedLabel,
    Volume,
    choose_window,
    luminance,
    with_colours,
    without_opacity,
)
from napari_dinomed.volume.volume import guess_modality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label

METADATA_KEY = "dinomed"
# In the metadata of an image layer that shows something of a document.
HELPER_KEY = "dinomed helper"
# Of a voxel: how far layers may lie apart and still count as the same place.
_APART = 0.1
AXES = ("z", "y", "x")
_UNITS = {
    "pixel": "px",
    "millimeter": "mm",
    "micrometer": "µm",
    "nanometer": "nm",
    "angstrom": "Å",
}
_PINT_UNITS = {"px": "pixel", "mm": "mm", "µm": "um", "nm": "nm", "Å": "angstrom"}


class LabelColors(DirectLabelColormap):
    """napari's colours by number, looked up all at once.

    Whenever colours change, napari looks up each of 65,536 numbers by itself, which takes
    40 ms for each layer, and this 2. Where napari does so in another way than today, this
    is not called.
    """

    def _map_precast(self, values: NDArray[Any], apply_selection: bool) -> NDArray[Any]:
        colors = self._values_mapping_to_minimum_values_set(apply_selection)[1]
        table = np.zeros((max(colors) + 1, 4), np.float32)
        for value, color in colors.items():
            table[value] = color
        mapped: NDArray[Any] = table[values]
        return mapped


def is_image(layer: Layer) -> bool:
    """Whether a layer is an image that could be segmented: those of a document are none."""
    return isinstance(layer, Image) and HELPER_KEY not in layer.metadata


def image_options(volume: Volume, name: str) -> dict[str, Any]:
    """Keyword arguments of the image layer that shows a volume at its true place."""
    if volume.colours is not None:
        return _options(volume, name) | {"rgb": True}
    window = choose_window(volume)
    return _options(volume, name) | {
        "colormap": "gray",
        "contrast_limits": (window.low, window.high),
    }


def labels_options(volume: Volume, name: str) -> dict[str, Any]:
    """Keyword arguments of the labels layer that shows labels with names and colours."""
    legend = volume.legend or ()
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    return _options(volume, name) | {
        "colormap": LabelColors(
            color_dict=colors | {label.id: (*label.color, 1.0) for label in legend}
        ),
        "features": {
            "index": [0, *(label.id for label in legend)],
            "name": ["background", *(label.name for label in legend)],
        },
    }


def _options(volume: Volume, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "scale": volume.geometry.spacing,
        "translate": volume.geometry.translation,
        "units": (_PINT_UNITS[volume.geometry.unit],) * 3,
        "axis_labels": AXES,
        "metadata": {METADATA_KEY: volume},
    }


def share_unit(layer: Layer, beside: Iterable[Layer]) -> None:
    """Show a volume in the unit of length of the layers beside it.

    napari shows layers of several units together, but a click or a stroke on one of them
    lands as if all had the same.
    """
    if not isinstance(layer.metadata.get(METADATA_KEY), Volume):
        return
    for other in beside:
        own, shared = layer.units[-1], other.units[-1]
        if own != shared and own.is_compatible_with(shared):
            factor = float((1 * own).to(shared).magnitude)
            scale, translate = (
                np.asarray(place) * factor for place in (layer.scale, layer.translate)
            )
            layer.units = (shared,) * layer.ndim
            layer.scale, layer.translate = scale, translate
            return


def widen_contrast_range(layer: Image, volume: Volume) -> None:
    """Let the contrast sliders reach all grey values: napari clips them to the window."""
    if layer.rgb or volume.grey_range is None:
        return
    low, high = layer.contrast_limits
    least, greatest = volume.grey_range
    layer.contrast_limits_range = (min(low, least), max(high, greatest))


def volume_of(layer: Image) -> Volume:
    """The volume that an image layer shows: as it was read, or made from the layer.

    Raises
    ------
    VolumeError
        Where the layer is not one 3-D volume, grey or in colour (a single slice counts as
        one).
    """
    stored = layer.metadata.get(METADATA_KEY)
    if isinstance(stored, Volume) and stored.array.shape == shape_over(layer):
        if layer.data is (stored.array if stored.colours is None else stored.colours):
            return stored
        # A script gave the layer other voxels; where they lie is still known.
        origin = None if stored.is_lazy else stored.origin
        if layer.rgb:
            colours = without_opacity(layer.data, layer.name)
            grey = luminance(colours)
            return replace(stored, array=grey, colours=colours, origin=origin)
        return replace(stored, array=layer.data, colours=None, origin=origin)
    if layer.multiscale or layer.ndim not in (2, 3):
        kind = "a pyramid" if layer.multiscale else f"{layer.ndim}-D"
        raise VolumeError(
            f"Expected a 3-D volume, but the layer {layer.name!r} is {kind}. "
            "Open one channel, one time point, or one level of it."
        )
    if layer.rgb:
        return _in_colour(layer)
    return _volume_of_new(layer, np.asarray(layer.data))


def _in_colour(layer: Image) -> Volume:
    """A picture in colour that another reader opened, or a script made."""
    colours = without_opacity(np.asarray(layer.data), layer.name)
    if layer.ndim == 2:
        colours = colours[np.newaxis]
    return with_colours(_volume_of_new(layer, luminance(colours)), colours)


def _volume_of_new(layer: Image, array: np.ndarray[Any, Any]) -> Volume:
    """A volume of grey values on a layer's grid."""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.ndim == 2:
        array = array[np.newaxis]
    geometry = _geometry_of(layer)
    modality = guess_modality(array, patient=geometry.unit == "mm")
    return Volume(array, geometry, modality)


def _geometry_of(layer: Layer) -> Geometry:
    """The grid of a layer that no file says more of."""
    slices, rows, columns = shape_over(layer)
    z, y, x = (abs(float(s)) for s in placement_of(layer)["scale"])
    unit = _UNITS.get(str(layer.units[-1]), "px")
    return Geometry.from_spacing((slices, rows, columns), (z, y, x), unit)


def is_measured_otherwise(layer: Image, volume: Volume) -> bool:
    """Whether a layer has other voxel sizes by now than the volume that was made of it.

    Where a file says how large voxels are, they stay so wherever the layer is put.
    """
    return METADATA_KEY not in layer.metadata and _geometry_of(layer) != volume.geometry


def forget_voxels(layer: Image) -> None:
    """Of an image whose voxels were changed in place, forget what was known of them."""
    stored = layer.metadata.get(METADATA_KEY)
    if isinstance(stored, Volume):
        layer.metadata[METADATA_KEY] = replace(stored)


def placement_of(layer: Layer) -> dict[str, Any]:
    """Keyword arguments that put a 3-D layer exactly over this one.

    A single slice lies at 0 of an axis before its own, one voxel deep.
    """
    affine = np.asarray(layer.affine.affine_matrix)
    rotate, shear = np.asarray(layer.rotate), np.asarray(layer.shear)
    missing = 3 - layer.ndim
    for _ in range(missing):
        affine, rotate = _with_axis(affine), _with_axis(rotate)
        shear = np.concatenate([[0.0, 0.0], shear])
    return {
        "scale": (1.0,) * missing + tuple(layer.scale),
        "translate": (0.0,) * missing + tuple(layer.translate),
        "rotate": rotate,
        "shear": shear,
        "affine": affine,
        "units": (layer.units[0],) * missing + tuple(layer.units),
        "axis_labels": AXES[:missing] + tuple(layer.axis_labels),
    }


def follow_placement(layer: Layer, of: Layer) -> None:
    """Put a 3-D layer exactly over another one, wherever that is by now."""
    placement = placement_of(of)
    del placement["axis_labels"]
    for name, value in placement.items():
        if not np.array_equal(getattr(layer, name), value):
            setattr(layer, name, value)


def _with_axis(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A matrix with one more axis before the others, which it leaves alone."""
    grown = np.eye(len(matrix) + 1)
    grown[1:, 1:] = matrix
    return grown


def file_of(image: Image, volume: Volume) -> Path | None:
    """The file or folder that an image came from, if any."""
    origin = volume.origin
    if isinstance(origin, Origin) and origin.source.paths:
        return origin.source.path
    path = getattr(image.source, "path", None)
    return Path(path) if path else None


def shape_over(image: Layer) -> tuple[int, ...]:
    """The shape (z, y, x) of what lies over an image."""
    lengths = (int(n) for n in image.data.shape[: image.ndim])
    return (*(1,) * (3 - image.ndim), *lengths)


def lies_over(layer: Layer, other: Layer) -> bool:
    """Whether two layers of one shape lie voxel on voxel; one may be a single slice."""
    ends = np.array(other.data.shape[: other.ndim]) - 1
    corners = ends * [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    missing = other.ndim - layer.ndim
    gaps = [
        np.subtract(layer.data_to_world(c[missing:]), other.data_to_world(c)[missing:])
        for c in corners
    ]
    return bool(np.abs(gaps).max() <= _APART * np.min(np.abs(other.scale)))


def legend_in(layer: Labels) -> tuple[NamedLabel, ...]:
    """Names and colours of a layer's labels, as far as its features have names."""
    features = layer.features
    names = {}
    if {"index", "name"} <= set(features.columns):
        names = dict(zip(features["index"], features["name"], strict=True))
    found = []
    for number in np.unique(np.asarray(layer.data)):
        if number > 0:
            red, green, blue, _ = (float(part) for part in layer.get_color(number))
            name = str(names.get(number, f"Label {number}"))
            found.append(NamedLabel(int(number), name, (red, green, blue)))
    return tuple(found)


def colors_of(labels: tuple[Label, ...]) -> dict[int, tuple[float, float, float]]:
    """What `label_colors` depends on: making a colormap takes napari a while."""
    return {label.id: label.color for label in labels}


def label_colors(
    labels: tuple[Label, ...], hidden: frozenset[int] = frozenset()
) -> LabelColors:
    """The colours of labels that are not hidden; nothing else is shown."""
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    shown = {n.id: (*n.color, 0.0 if n.id in hidden else 1.0) for n in labels}
    return LabelColors(color_dict=colors | shown)


def labels_over(image: Image, name: str, dtype: Any = np.uint8) -> Labels:
    """An empty labels layer on an image's grid, in its place, with its volume."""
    return Labels(
        np.zeros(shape_over(image), dtype=dtype),
        name=name,
        metadata=dict(image.metadata),
        **placement_of(image),
    )
