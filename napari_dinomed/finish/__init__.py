"""Finishing tools: one label made better as a whole, in 3-D, in lengths of the volume.

In: a label's voxels, those of all others, the grid, an amount or two. Out: the voxels that
the label then has, and those of labels made of its parts. Every tool is a pure function;
one list of them, `TOOLS`, is what the panel, the command line and the documentation read.
No Qt, no torch, no files.
"""

from napari_dinomed.finish.run import finished
from napari_dinomed.finish.subject import Subject
from napari_dinomed.finish.tools import TOOLS, Tool, find_tool

__all__ = ["TOOLS", "Subject", "Tool", "find_tool", "finished"]
