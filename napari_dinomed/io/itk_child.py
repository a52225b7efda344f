"""Reads an image with SimpleITK, in a process of its own: a damaged one may abort it.

Run as a script with a path and ``header`` or ``voxels``; writes one line of JSON, then, if
asked for, the voxels in NumPy's format. It imports nothing of the package.
"""

import json
import sys

import numpy as np
import SimpleITK


def main() -> None:
    """Write what was asked for to standard output."""
    path, wanted = sys.argv[1:]
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(path)
    reader.ReadImageInformation()
    about = {
        "size": reader.GetSize(),
        "channels": reader.GetNumberOfComponents(),
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
    }
    out = sys.stdout.buffer
    out.write(json.dumps(about).encode() + b"\n")
    if wanted == "voxels":
        np.lib.format.write_array(out, SimpleITK.GetArrayFromImage(reader.Execute()))


if __name__ == "__main__":
    main()
