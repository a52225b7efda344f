"""The one list of finishing tools: for the panel, the command line and the docs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_dinomed.errors import FinishError
from napari_dinomed.finish import between, cut, distance, parts, split
from napari_dinomed.finish.options import Option, options_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.finish.subject import Site, Subject

    Numbers = NDArray[np.bool_] | NDArray[np.int32]

_Options = TypeVar("_Options")


class Drawn(StrEnum):
    """What a tool needs that is drawn on the canvas."""

    NOTHING = "nothing"
    CLICKS = "clicks"
    OUTLINE = "outline"


@dataclass(frozen=True)
class Tool(Generic[_Options]):
    """A finishing tool.

    Parameters
    ----------
    key
        What is typed on the command line.
    title
        What the panel calls it.
    step
        What undo calls it; the label's name goes between the braces.
    options
        A frozen dataclass; the first line of its docstring says what the tool does.
    work
        From a label in its box, and options, to the voxels that it should have: those of
        number 1. Those of 2, 3, … are parts of it that are to be labels of their own.
    idle
        Why nothing changes, where nothing does.
    reach
        How far beyond a label's box it has to see, in the volume's unit.
    drawn
        What has to be drawn for it.
    """

    key: str
    title: str
    step: str
    options: type[_Options]
    work: Callable[[Site, _Options], Numbers]
    idle: str
    reach: Callable[[_Options, Subject], float] = lambda *_: 0.0
    drawn: Drawn = Drawn.NOTHING

    @property
    def does(self) -> str:
        """What it does, in a sentence."""
        return (self.options.__doc__ or "").partition("\n")[0]

    @property
    def is_drawn(self) -> bool:
        """Whether something has to be drawn for it."""
        return self.drawn is not Drawn.NOTHING

    @property
    def shown(self) -> tuple[Option, ...]:
        """The options that a user sets, beside what is drawn."""
        return options_of(self.options)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "fill-holes",
        "Fill holes",
        "fill holes in {}",
        parts.FillHoles,
        parts.fill_holes,
        "it has no hole that is free",
    ),
    Tool(
        "fill-between",
        "Fill between slices",
        "fill between slices of {}",
        between.FillBetween,
        between.fill_between,
        "no slice is missing between two painted ones, or nothing free there is like it",
        reach=between.room,
    ),
    Tool(
        "smooth",
        "Smooth",
        "smooth {}",
        distance.Smooth,
        distance.smooth,
        "the radius is too small to change a voxel",
        reach=lambda options, _: distance.SMOOTH_REACH * options.radius,
    ),
    Tool(
        "grow",
        "Grow",
        "grow {}",
        distance.Grow,
        distance.grow,
        "nothing that is free lies within that distance",
        reach=lambda options, _: options.distance,
    ),
    Tool(
        "shrink",
        "Shrink",
        "shrink {}",
        distance.Shrink,
        distance.shrink,
        "the distance is less than a voxel",
    ),
    Tool(
        "hollow",
        "Hollow",
        "hollow {}",
        distance.Hollow,
        distance.hollow,
        "no part of it is deeper inside than that",
    ),
    Tool(
        "keep-largest",
        "Keep largest part",
        "keep largest part of {}",
        parts.KeepLargest,
        parts.keep_largest,
        "it is one part",
    ),
    Tool(
        "remove-small",
        "Remove small parts",
        "remove small parts of {}",
        parts.RemoveSmall,
        parts.remove_small,
        "no part of it is that small",
    ),
    Tool(
        "keep-touched",
        "Keep clicked parts",
        "keep clicked parts of {}",
        parts.KeepTouched,
        parts.keep_touched,
        "every part of it was clicked on",
        drawn=Drawn.CLICKS,
    ),
    Tool(
        "split",
        "Split into labels",
        "split {}",
        split.Split,
        split.split,
        "it is one part, or all others are smaller than that",
    ),
    Tool(
        "grey-range",
        "Keep grey values",
        "keep grey values of {}",
        cut.GreyRange,
        cut.grey_range,
        "all of it lies between these grey values",
    ),
    Tool(
        "cut",
        "Cut with a lasso",
        "cut {}",
        cut.Lasso,
        cut.lasso,
        "nothing of it is cut off",
        drawn=Drawn.OUTLINE,
    ),
)


def find_tool(key: str) -> Tool[Any]:
    """The tool of a name.

    Raises
    ------
    FinishError
        Where there is none.
    """
    for tool in TOOLS:
        if tool.key == key:
            return tool
    known = ", ".join(tool.key for tool in TOOLS)
    raise FinishError(f"Expected a tool of {known}; got {key!r}.")


def table_of_tools() -> str:
    """The tools, their options and what they do, as a table for the documentation."""
    rows = ["| tool | options | what it does |", "|---|---|---|"]
    for tool in TOOLS:
        options = ", ".join(f"`{option.typed}`" for option in tool.shown)
        rows.append(f"| *{tool.title}* (`{tool.key}`) | {options} | {tool.does} |")
    return "\n".join(rows)
