"""A tool used on an array, as the panel and the command line use it."""

from __future__ import annotations

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.finish import Subject, find_tool, finished
from napari_dinomed.finish.options import Scale, made

CUBES = (1.0, 1.0, 1.0)


def used(key, mask, spacing=CUBES, others=(), grey=None, **values):
    """The voxels that a label has after a tool was used on it; amounts in mm and ml."""
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
    return finished(tool, options, subject).array(tuple(slice(0, n) for n in mask.shape))
