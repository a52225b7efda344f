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


def finished(tool: Tool[Any], options: Any, subject: Subject) -> tuple[Mask, ...]:
    """The voxels that a label has after a tool was used on it, and those of new labels.

    Parameters
    ----------
    tool
        The tool.
    options
        Its options.
    subject
        The label, and what lies around it.

    Returns
    -------
    tuple
        The label's own mask first; then one for each of its parts that is to be a label of
        its own, the largest first.

    Raises
    ------
    FinishError
        Where it has no voxel, nothing would change, or nothing would be left.
    """
    name = subject.name
    if not subject.own:
        raise FinishError(f"Nothing is {name} yet: click on some of it first.")
    options = no_longer(options, subject.diagonal)
    site = subject.around(tool.reach(options, subject))
    wanted = tool.work(site, options) * (site.mask | site.free)
    if not wanted.any():
        raise FinishError(f"Nothing would be left of {name}; it stays as it was.")
    if np.array_equal(wanted, site.mask):
        raise FinishError(f"{name} stays as it is: {tool.idle}.")
    numbers = range(1, int(wanted.max()) + 1)
    return tuple(Mask.of(wanted == number, site.start) for number in numbers)
