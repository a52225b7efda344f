"""Time and peak memory of one worker on a made-up image of 8 GB, mostly empty.

    python resources/measure_stack.py FOLDER [--model M.dinomed]

A tenth of a percent of its voxels hold something: a corner of dark balls on rough ground.
Without a model, one is taught by a smaller volume like it.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import zarr
from ome_zarr.writer import write_multiscales_metadata

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.batch.hands import Here
from napari_dinomed.batch.stack.plan import Place, StackPlan, Wishes
from napari_dinomed.batch.stack.run import StackRun
from napari_dinomed.headless import prepare
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, taught
from napari_dinomed.volume import Geometry, Volume

SHAPE, CHUNK = (512, 4096, 4096), (64, 256, 256)
FILLED = (64, 256, 512)
SPACING = (8.0, 8.0, 8.0)


def tissue(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey values and truth: dark balls on rough ground."""
    random = np.random.default_rng(seed)
    truth = np.zeros(shape, dtype=np.uint8)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    for _ in range(max(4, int(np.prod(shape) / 60_000))):
        a, b, c = (random.integers(0, n) for n in shape)
        radius = random.integers(6, 12)
        truth[(z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 < radius**2] = 1
    grey = np.where(truth > 0, 70, 150) + random.normal(0, 8, shape)
    return grey.clip(1, 255).astype(np.uint8), truth


def make_store(path: Path) -> None:
    """The image: only chunks of the corner are written."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    array = group.create_array("0", shape=SHAPE, dtype=np.uint8, chunks=CHUNK)
    array[tuple(slice(0, n) for n in FILLED)] = tissue(FILLED, 1)[0]
    scale = [{"type": "scale", "scale": list(SPACING)}]
    axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    write_multiscales_metadata(group, datasets, axes=axes)


def teach(path: Path, encoder: str) -> None:
    """A model, by a small volume of the same kind."""
    grey, truth = tissue((48, 128, 128), 0)
    volume = Volume(grey, Geometry.from_spacing(grey.shape, SPACING, "nm"), "EM")
    seen = prepare(volume, encoder, planes="one").seen
    legend = (new_label(1, Meaning.ALL_LIKE_THIS),)
    *_, complete = settled(taught(begun(seen), seen, truth, legend))
    complete.write(path)


def main() -> None:
    """Make what is not there, label it, say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--encoder", default="filters")
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    store, model = given.folder / "image.zarr", given.model or given.folder / "m.dinomed"
    if not store.exists():
        make_store(store)
    if not model.exists():
        teach(model, given.encoder)
    place = Place(model, store, given.folder / "run", "made-up")
    plan, _ = StackPlan.of(place, Wishes(instances=True), "cpu")
    print(f"boxes {plan.boxes.size}, blocks {plan.block}, {sum(1 for _ in plan.blocks())}")
    begun_at, said = time.perf_counter(), ""
    run = StackRun(plan, "cpu", overwrite=True)
    for step in run.run(Here()):
        if step.phase != said:
            print(f"{time.perf_counter() - begun_at:8.1f} s  {step.phase}", flush=True)
            said = step.phase
    print(run.write_results(), f"{time.perf_counter() - begun_at:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.2f} GB of an image of {np.prod(SHAPE) / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
