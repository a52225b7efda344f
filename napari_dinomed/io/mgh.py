"""FreeSurfer's MGH and MGZ, through nibabel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.format import (
    Contents,
    Format,
    drop_ones,
    from_kji,
    placed,
    require_memory,
    require_patient,
    require_plausible,
    take_frame,
)
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Legend, Pick
    from napari_dinomed.io.source import Source


class Mgh(Format):
    """MGH images; the file's (i, j, k) array is taken as (k, j, i)."""

    name = "MGZ"
    suffixes = (".mgz", ".mgh.gz", ".mgh")
    writes = (".mgz", ".mgh")

    def contents(self, source: Source) -> Contents:
        """A fourth axis is time."""
        shape = nib.load(source.path).shape
        return Contents(frames=shape[3] if len(shape) == 4 else 1)

    def read(self, source: Source, pick: Pick) -> Volume:
        """Read voxels and grid."""
        image = nib.freesurfer.MGHImage.from_filename(source.path)
        size = source.path.stat().st_size
        require_plausible(image.shape, image.get_data_dtype(), source.name, size)
        require_memory(image.shape, image.get_data_dtype(), source.name)
        array = take_frame(
            drop_ones(np.asanyarray(image.dataobj).T), pick.frame, source.name
        )
        matrix = from_kji(np.asarray(image.affine, dtype=np.float64))
        return placed(array, matrix, "mm", True, source.name)

    def write(
        self, path: Path, array: NDArray[Any], source: Volume, legend: Legend | None
    ) -> None:
        """Write with the source's grid; MGH has no unsigned 16-bit type."""
        del legend
        require_patient(source.geometry, path.name)
        voxels = source.geometry.to_file_order(array).T
        if voxels.dtype not in (np.uint8, np.int16, np.int32, np.float32):
            voxels = voxels.astype(np.int32 if voxels.dtype.kind in "iu" else np.float32)
        image = nib.MGHImage(voxels, from_kji(source.geometry.file_affine))
        with replacing(path) as temporary:
            nib.save(image, temporary)
