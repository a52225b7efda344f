"""A tool used on an array, as the panel and the command line use it."""

from __future__ import annotations

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.finish import Subject, find_tool, finished
from napari_dinomed.finish.options import Scale, made

CUBES = (1.0, 1.0, 1.0)


def used(key, mask, *given, **values):
    """The voxels that a label has after a tool was used on it; amounts in mm and ml."""
    return all_of(key, mask, *given, **values)[0]


def all_of(key, mask, spacing=CUBES, others=(), grey=None, **values):
    """Those voxels, and those of each label that was made of a part."""
    tool = find_tool(key)
    subject = Subject(
        "spleen",
        Mask.of(mask),
        tuple(Mask.of(other) for other in others),
        mask.shape,
        spacing,
        None if grey is None else lambda box: grey[box],
    )
    options = made(tool.options, values, Scale("mm", spacing))
    whole = tuple(slice(0, n) for n in mask.shape)
    return [one.array(whole) for one in finished(tool, options, subject)]
