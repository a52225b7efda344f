"""A tool used on a label: only its box is looked at, and only what is free is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.annotation.mask import Mask
from napari_dinomed.errors import FinishError
from napari_dinomed.finish.options import no_longer

if TYPE_CHECKING:
    from napari_dinomed.finish.subject import Subject
    from napari_dinomed.finish.tools import Tool


def finished(tool: Tool[Any], options: Any, subject: Subject) -> Mask:
    """The voxels that a label has after a tool was used on it.

    Parameters
    ----------
    tool
        The tool.
    options
        Its options.
    subject
        The label, and what lies around it.

    Raises
    ------
    FinishError
        Where it has no voxel, nothing would change, or nothing would be left.
    """
    name = subject.name
    if not subject.own:
        raise FinishError(f"Nothing is {name} yet: click on some of it first.")
    options = no_longer(options, subject.diagonal)
    site = subject.around(tool.reach(options))
    wanted = tool.work(site, options)
    wanted = wanted & (site.mask | site.free)
    if not wanted.any():
        raise FinishError(f"Nothing would be left of {name}; it stays as it was.")
    if np.array_equal(wanted, site.mask):
        raise FinishError(f"{name} stays as it is: {tool.idle}.")
    return Mask.of(wanted, site.start)
