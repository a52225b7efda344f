"""What is in a file, in words; nothing that names a patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.io.registry import format_name, list_contents, read_volume
from napari_dinomed.volume import choose_window
from napari_dinomed.volume.volume import sample

# Of labels that are listed by name.
_MOST_LABELS = 100

if TYPE_CHECKING:
    from napari_dinomed.io.format import Pick
    from napari_dinomed.io.registry import Given
    from napari_dinomed.volume import Volume


def describe(given: Given, pick: Pick) -> dict[str, str]:
    """Format, geometry and type of a volume; modality, range and window, or its labels.

    Where there are several and none was picked, only what there is to pick from.

    Raises
    ------
    DinomedError
        As `read_volume`.
    """
    contents = list_contents(given)
    rows = {"format": format_name(given)}
    if contents.is_settled or pick.part is not None or len(contents.parts) < 2:
        rows |= _describe_volume(read_volume(given, pick))
    if contents.frames > 1:
        rows["time points"] = str(contents.frames)
    if contents.has_colours:
        rows["colours"] = "red, green, blue; --channel 0, 1 or 2 for one of them"
    if contents.channels > 1:
        rows["channels"] = str(contents.channels)
    return rows | {f"part {part.key}": part.title for part in contents.parts}


def _describe_volume(volume: Volume) -> dict[str, str]:
    geometry = volume.geometry
    sizes = " × ".join(f"{size:.6g}" for size in geometry.spacing)
    rows = {
        "voxels (z, y, x)": " × ".join(str(n) for n in geometry.shape),
        "spacing (z, y, x)": f"{sizes} {geometry.unit}",
        "axes grow towards": geometry.orientation if geometry.patient else "as in the file",
        "voxels in the file": " × ".join(str(n) for n in geometry.file_shape),
        "first voxel at (X, Y, Z)": ", ".join(f"{c:.6g}" for c in geometry.matrix[:3, 3]),
        "type": str(volume.array.dtype),
        "read": "piece by piece" if volume.is_lazy else "into memory",
    }
    if volume.legend is None:
        rows |= _describe_greys(volume)
    else:
        rows["voxels are"] = f"labels, {len(volume.legend)} of them"
        listed = volume.legend[:_MOST_LABELS]
        rows |= {f"label {label.id}": label.name for label in listed}
    notes = enumerate(volume.notes, start=1)
    return rows | {f"note {number}": note for number, note in notes}


def _describe_greys(volume: Volume) -> dict[str, str]:
    """What only an image has: numbers of labels mean nothing by themselves."""
    values = sample(volume.array) if volume.is_lazy else np.asarray(volume.array)
    finite = values[np.isfinite(values)]
    window = choose_window(volume)
    has_values = bool(finite.size)
    return {
        "modality": volume.modality,
        "range": f"{finite.min():.6g} to {finite.max():.6g}" if has_values else "no values",
        "window": f"{window.low:.6g} to {window.high:.6g} ({window.name})",
    }
