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
        "bytes": SimpleITK.Image([1, 1], reader.GetPixelID()).GetSizeOfPixelComponent(),
        "spacing": reader.GetSpacing(),
        "origin": reader.GetOrigin(),
        "direction": reader.GetDirection(),
        "metadata": {
            key: reader.GetMetaData(key)
            for key in reader.GetMetaDataKeys()
            if key.startswith("Dinomed")
        },
    }
    out = sys.stdout.buffer
    out.write(json.dumps(about).encode() + b"\n")
    if wanted == "voxels":
        array = SimpleITK.GetArrayFromImage(reader.Execute())
        about = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(out, about)
        # NumPy's own writing asks for a position, which a pipe does not have.
        out.write(array.reshape(-1).view(np.uint8).data)


if __name__ == "__main__":
    main()
