"""How much memory encoding a volume takes that is larger than it: made up, then measured.

``python tests/benchmarks/memory.py --shape 1000 2048 2048 --encoder filters`` writes an
OME-Zarr of made-up texture into a temporary folder, encodes it in a process of its own and
prints that process' peak resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHUNK = (64, 256, 256)


def make(path: Path, shape: tuple[int, int, int]) -> None:
    """An OME-Zarr of one level, uint8: blobs that repeat, and noise."""
    import zarr
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_multiscales_metadata

    random = np.random.default_rng(0)
    z, y, x = np.ogrid[: CHUNK[0], : CHUNK[1], : CHUNK[2]]
    blobs = 120 + 60 * np.sin(z / 9) * np.sin(y / 23) * np.sin(x / 17)
    group = zarr.open_group(path, mode="w", zarr_format=3)
    array = group.create_array("s0", shape=shape, dtype=np.uint8, chunks=CHUNK)
    for start in range(0, shape[0], CHUNK[0]):
        depth = min(CHUNK[0], shape[0] - start)
        noisy = np.clip(blobs + random.normal(0, 8, CHUNK), 0, 255).astype(np.uint8)[:depth]
        tiles = [-(-n // side) for n, side in zip(shape[1:], CHUNK[1:], strict=True)]
        slab = np.tile(noisy, (1, *tiles))[:, : shape[1], : shape[2]]
        array[start : start + depth] = slab
    transforms = [{"type": "scale", "scale": [8.0, 8.0, 8.0]}]
    write_multiscales_metadata(
        group,
        [{"path": "s0", "coordinateTransformations": transforms}],
        fmt=FormatV05(),
        axes=[{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"],
    )


def encode(path: Path, encoder: str, lazy_from: int | None) -> dict[str, object]:
    """Encode in this process; peak memory in GB, seconds, and what came out."""
    from napari_dinomed import headless
    from napari_dinomed.io import Pick, pieces, read_volume

    if lazy_from is not None:
        pieces.LARGE = lazy_from
    begun = time.perf_counter()
    volume = read_volume(path, Pick(part="s0"))
    job = headless.prepare(volume, encoder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "shape": volume.array.shape,
        "is_lazy": volume.is_lazy,
        "encoder": encoder.rpartition("/")[2],
        "tokens": [list(bank.tokens.shape) for bank in job.banks],
        "seconds": round(time.perf_counter() - begun, 1),
        "peak_gb": round(peak, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(1000, 2048, 2048))
    parser.add_argument("--encoder", action="append")
    parser.add_argument("--volume", type=Path, help="encode this one, in this process")
    parser.add_argument("--lazy-from", type=int, help="bytes from which it is lazy")
    options = parser.parse_args()
    encoders = options.encoder or ["filters"]
    if options.volume is not None:
        print(json.dumps(encode(options.volume, encoders[0], options.lazy_from)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.ome.zarr"
        make(path, tuple(options.shape))
        for encoder in encoders:
            command = [sys.executable, __file__, "--volume", path, "--encoder", encoder]
            if options.lazy_from:
                command += ["--lazy-from", str(options.lazy_from)]
            environment = os.environ | {"NAPARI_DINOMED_HOME": folder}
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
