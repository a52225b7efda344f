"""PET with lesions that are known: made-up foci in a template, found by *all like this*.

``python resources/pet_lesions.py PET.nii --out folder`` takes a template (such as SPM's),
scales it to SUV, puts in ellipsoids of known place, size and uptake, blurs them as a
scanner does, adds noise, and tells how well a few clicks find all of them: with no floor,
with a threshold floor, and with a least volume as well. Beside them stands the floor alone,
without any click.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cc3d
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.metrics import dice
from napari_dinomed.finish.above import above
from napari_dinomed.headless import prepare
from napari_dinomed.io import read_volume, write_image, write_labels
from napari_dinomed.volume import Volume

# What is hottest in a template is set to 5: lesions are sought in organs of SUV 1 to 5.
_HOTTEST = 5.0
# Radii in mm and uptake: foci of .3 to 7 ml. Blurred, small faint ones are as hot as that.
_RADII, _UPTAKE = (4.0, 12.0), (7.0, 18.0)
# Full width at half maximum of a scanner's point spread, in mm, and its noise in SUV.
_SPREAD, _NOISE = 5.0, 0.3
# A sigma of a Gaussian of that width.
_SIGMA = _SPREAD / 2.355


@dataclass(frozen=True)
class Read:
    """How well lesions were found.

    Parameters
    ----------
    dice
        Of their voxels.
    found, lesions
        How many of how many are overlapped.
    spurious
        Parts that overlap none.
    """

    dice: float
    found: int
    lesions: int
    spurious: int


def with_lesions(
    template: Volume, count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """SUV (z, y, x) of a template with lesions, and their numbers from 1."""
    random = np.random.default_rng(seed)
    uptake = np.nan_to_num(np.asarray(template.array, np.float32))
    uptake *= _HOTTEST / np.percentile(uptake, 99.9)
    spacing = np.array(template.geometry.spacing)
    inside = ndimage.binary_erosion(uptake > 0.2 * _HOTTEST, iterations=4)
    places = np.argwhere(inside) * spacing
    truth = np.zeros(uptake.shape, np.uint8)
    lesions = uptake.copy()
    grid = np.indices(uptake.shape).reshape(3, -1).T * spacing
    for number in range(1, count + 1):
        radii = random.uniform(*_RADII) * random.uniform(0.8, 1.25, 3)
        middle = places[random.integers(len(places))]
        own = (((grid - middle) / radii) ** 2).sum(1).reshape(uptake.shape) <= 1
        # Two that touch would be one.
        if (truth[ndimage.binary_dilation(own, iterations=3)] > 0).any():
            continue
        truth[own] = number
        lesions[own] = random.uniform(*_UPTAKE)
    blurred = ndimage.gaussian_filter(lesions - uptake, _SIGMA / spacing) + uptake
    noisy = blurred + random.normal(0, _NOISE, uptake.shape) * (uptake > 0.1)
    return np.maximum(noisy, 0).astype(np.float32), truth


def read_by(mask: NDArray[np.bool_], truth: NDArray[np.uint8]) -> Read:
    """What of the truth a mask finds."""
    numbers = np.unique(truth[truth > 0])
    found = np.isin(numbers, truth[mask])
    parts, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    hit = np.unique(parts[(truth > 0) & mask])
    return Read(dice(truth > 0, mask), int(found.sum()), len(numbers), count - len(hit))


def clicked(truth: NDArray[np.uint8], suv: NDArray[np.float32], clicks: int) -> Prompts:
    """The hottest voxels of so many lesions, and one of the healthy cortex, excluded."""
    prompts = Prompts()
    numbers = np.unique(truth[truth > 0])
    hottest = sorted(numbers, key=lambda n: -suv[truth == n].mean())
    for number in hottest[:: max(1, len(hottest) // clicks)][:clicks]:
        voxels = np.argwhere(truth == number)
        prompts = prompts.plus(_point(voxels[np.argmax(suv[truth == number])], True))
    healthy = np.where(ndimage.binary_dilation(truth > 0, iterations=4), 0, suv)
    return prompts.plus(_point(np.unravel_index(np.argmax(healthy), suv.shape), False))


def _point(voxel: NDArray[np.int64], include: bool) -> Point:
    z, y, x = (int(n) for n in voxel)
    return Point((z, y, x), 1, include)


def main(
    template: Path,
    out: Annotated[Path | None, typer.Option(help="Keep image and truth there.")] = None,
    encoder: str = "filters",
    seeds: int = 3,
    lesions: int = 10,
    clicks: Annotated[list[int] | None, typer.Option(help="1, 3 and 5.")] = None,
    floor: float = 4.0,
    least: float = 0.2,
) -> None:
    """Tell how well lesions are found, mean over seeds."""
    from dataclasses import replace

    volume = read_volume(template)
    rows: dict[str, list[Read]] = {}
    for seed in range(seeds):
        suv, truth = with_lesions(volume, lesions, seed)
        made = replace(volume, array=suv, modality="PET", window=None)
        if out is not None:
            out.mkdir(exist_ok=True)
            write_image(out / f"pet-{seed}.nii.gz", suv, volume)
            write_labels(out / f"lesions-{seed}.nii.gz", truth, volume)
        job = prepare(made, encoder, "suv20", "cpu", planes="one")
        for count in clicks or [1, 3, 5]:
            prompts = clicked(truth, suv, count)
            label = new_label(1, Meaning.ALL_LIKE_THIS)
            found = job.segment((label,), prompts)
            ways = {
                "as found": found,
                f"floor {floor:g}": above(found, made, floor, 0),
                f"floor {floor:g}, {least:g} ml": above(found, made, floor, least),
            }
            for name, labels in ways.items():
                told = f"{count} clicks, {name}"
                rows.setdefault(told, []).append(read_by(labels == 1, truth))
        alone = above(np.ones_like(truth), made, floor, least)
        rows.setdefault(f"floor {floor:g}, {least:g} ml, no click", []).append(
            read_by(alone == 1, truth)
        )
    table = Table("", "Dice", "found", "spurious parts")
    for name, read in rows.items():
        table.add_row(
            name,
            f"{np.mean([one.dice for one in read]):.3f}",
            f"{sum(one.found for one in read)} of {sum(one.lesions for one in read)}",
            f"{np.mean([one.spurious for one in read]):.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
