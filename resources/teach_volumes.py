"""Make what `teach.py` learns from: grey values, labels and looks of many volumes.

    python resources/teach_volumes.py FOLDER --encoder filters --patients ../data/cohort
    python resources/teach_volumes.py FOLDER --encoder file:vit.safetensors --made-up 0 24

``--patients`` names a folder with ``NNN_image.nii.gz`` and ``NNN_label.nii.gz``; only odd
numbers are read, even ones are for reporting, and ``--numbers`` keeps some of them apart
for `tune.py`. Of each, the whole volume is kept, and crops around an organ: there tokens
are as fine beside the object as in small volumes. ``--implants`` puts made-up organs as
large as a trunk's among the real ones of a head and neck, which are all small. What is
taught is shipped with the package: teach only from volumes under MIT, CC BY or CC0 terms.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import cc3d
import numpy as np
import torch
from scipy import ndimage

from napari_dinomed.headless import prepare
from napari_dinomed.io import read_labels, read_volume
from napari_dinomed.volume import Geometry, Planes, Volume

# Voxels around an organ in a crop.
ROOM = (3, 30)
# Least voxels of a made-up object, and how much of its shell may look like it does: in a
# body, organs touch, and one that goes on for less than half of its surface is seen.
LEAST_VOXELS, MOST_ALIKE, MOST_ALIKE_IN_BODY = 80, 0.2, 0.45
# Grey values of a body as a CT's abdominal window shows it, and of what is in it.
FAT, SOFT, BRIGHT = (0.05, 0.35), (0.4, 0.8), (0.7, 1.0)
# Above this value, of those from HU + 1024, is a patient and not air; of real noise, what
# differs by more is an edge; and what differs by less from what it touches is not seen.
PATIENT, NOISE, LEAST_CONTRAST = 500, 40, 25
# Share of its part of the patient that an implant should fill at least.
LEAST_SHARE = 0.002


def crop_around_organ(
    volume: Volume, labels: np.ndarray, random: np.random.Generator
) -> tuple[Volume, np.ndarray]:
    organ = random.choice([n for n in np.unique(labels) if n])
    (region,) = ndimage.find_objects((labels == organ).astype(np.int8))
    crop = []
    for side, length in zip(region, labels.shape, strict=True):
        before, after = random.uniform(*ROOM, 2)
        start, stop = max(0, int(side.start - before)), min(length, int(side.stop + after))
        crop.append(slice(start, stop))
    array = np.ascontiguousarray(volume.array[tuple(crop)])
    spacing, unit = volume.geometry.spacing, volume.geometry.unit
    geometry = Geometry.from_spacing(array.shape, spacing, unit)
    return replace(volume, array=array, geometry=geometry), labels[tuple(crop)]


def smooth_noise(
    random: np.random.Generator, shape: tuple[int, ...], sigma: np.ndarray
) -> np.ndarray:
    noise = random.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return noise / (noise.std() + 1e-6)


def made_up(random: np.random.Generator) -> tuple[Volume, np.ndarray]:
    """Blobs, tubes and shells of a few tissues, warped, rough, blurred and noisy."""
    flatness = random.choice([1.0, 1.0, random.uniform(1.5, 8)])
    rows = int(random.integers(32, 110))
    shape = (
        int(np.clip(random.integers(32, 110) / flatness, 12, 90)),
        rows,
        int(np.clip(rows * random.uniform(0.6, 1.6), 32, 120)),
    )
    spacing = np.array([flatness, 1.0, 1.0])
    least = float((shape * spacing).min())
    greys = random.uniform(0, 1, int(random.integers(2, 6)))
    tissue, labels = made_up_tissues(shape, spacing, len(greys), random)
    grey = greys[tissue]
    for number in range(len(greys)):
        grain = smooth_noise(random, shape, random.uniform(0.5, 4) / spacing)
        grey = grey + (tissue == number) * random.uniform(0, 0.06) * grain
    grey = ndimage.gaussian_filter(grey, random.uniform(0, 1.2) / spacing)
    grey = grey + random.uniform(0, 0.1) * smooth_noise(random, shape, least / 4 / spacing)
    noise = random.uniform(0.005, 0.07)
    grey = grey + noise * random.standard_normal(shape)
    drop_unseen(labels, greys[tissue], max(0.08, 2 * noise), MOST_ALIKE)
    return as_shown(grey, spacing), labels


def as_shown(grey: np.ndarray, spacing: np.ndarray) -> Volume:
    low, high = np.percentile(grey, (0.5, 99.5))
    shown = np.clip((grey - low) / (high - low + 1e-6), 0, 1) * 255
    geometry = Geometry.from_spacing(grey.shape, tuple(spacing), "mm")
    return Volume(shown.astype(np.uint8), geometry, "MR")


def made_up_tissues(
    shape: tuple[int, ...], spacing: np.ndarray, tissues: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which tissue each voxel is of, and which object."""
    extent = np.array(shape) * spacing
    least = float(extent.min())
    place = warped_places(shape, spacing, random)
    tissue, labels = np.zeros(shape, dtype=int), np.zeros(shape, dtype=np.uint8)
    if random.random() < 0.5:
        layer = smooth_noise(random, shape, random.uniform(0.1, 0.3) * least / spacing)
        layer = layer > random.uniform(-0.5, 1)
        tissue[layer] = random.integers(tissues)
        parts = cc3d.connected_components(layer, connectivity=6)
        for part in np.argsort(-np.bincount(parts.ravel())[1:])[:3] + 1:
            if (parts == part).mean() < 0.3:
                labels[parts == part] = 20 + part
    for number in range(1, int(random.integers(2, 12))):
        radius = made_up_radius(place, extent, random, random.uniform(0.1, 0.8) * least)
        inside = radius < 1
        if random.random() < 0.15:
            tissue[inside] = random.integers(tissues)
            inside = radius < random.uniform(0.5, 0.8)
        tissue[inside], labels[inside] = random.integers(tissues), number
    return tissue, labels


def warped_places(
    shape: tuple[int, ...], spacing: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Where each voxel is (3, z, y, x), in a space that is bent here and there."""
    axes = (np.arange(n) * s for n, s in zip(shape, spacing, strict=True))
    place = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    width = random.uniform(0.08, 0.25) * float((np.array(shape) * spacing).min())
    for axis in range(3):
        warp = smooth_noise(random, shape, width / spacing)
        place[axis] += random.uniform(0, 0.35) * width * warp
    return place


def made_up_radius(
    place: np.ndarray,
    extent: np.ndarray,
    random: np.random.Generator,
    longest: float,
    thin: float = 0.2,
) -> np.ndarray:
    """Distance from the middle of a turned superellipsoid, 1 at its surface."""
    radii = longest * random.uniform(0.4, 1, 3)
    if random.random() < thin:
        radii = longest * np.array([0.25, 0.25, 1.2])[random.permutation(3)]
    turned, _ = np.linalg.qr(random.standard_normal((3, 3)))
    centre = (random.uniform(0.1, 0.9, 3) * extent).astype(np.float32)
    along = np.tensordot(turned, place - centre[:, None, None, None], 1)
    power = random.uniform(1.5, 4)
    return (np.abs(along / radii[:, None, None, None]) ** power).sum(0) ** (1 / power)


def made_up_body(random: np.random.Generator) -> tuple[Volume, np.ndarray]:
    """Organs of any size that touch, in fat, muscle and bone: much as a CT of a trunk."""
    flatness = random.choice([1.0, random.uniform(1, 3)])
    shape = (
        int(random.integers(40, 110) / flatness),
        int(random.integers(70, 120)),
        int(random.integers(80, 140)),
    )
    spacing = np.array([flatness, 1.0, 1.0])
    extent = np.array(shape) * spacing
    place = warped_places(shape, spacing, random)
    grey, labels = made_up_trunk(place, extent, random), np.zeros(shape, dtype=np.uint8)
    organs = int(random.integers(5, 16))
    # The largest come first, else nothing would be left of the small ones.
    for number, size in enumerate(sorted(random.uniform(0.05, 0.5, organs))[::-1], 1):
        radius = made_up_radius(place, extent, random, size * float(extent.mean()))
        inside = radius < 1
        grey[inside], labels[inside] = random.uniform(*SOFT), number
        if random.random() < 0.3:
            core = radius < random.uniform(0.4, 0.8)
            grey[core] += random.uniform(-0.15, 0.15)
    for _ in range(int(random.integers(8))):
        longest = random.uniform(0.1, 0.5) * float(extent.mean())
        inside = made_up_radius(place, extent, random, longest, thin=0.15) < 1
        if random.random() < 0.5:  # A vessel is a part of the organ that it goes through.
            inside &= labels > 0
        else:
            labels[inside] = 0
        grey[inside] = random.choice([0.0, random.uniform(*BRIGHT)], p=[0.2, 0.8])
    seen = grey.copy()
    grain = random.uniform(0, 0.04) * smooth_noise(
        random, shape, random.uniform(0.5, 3) / spacing
    )
    grey = ndimage.gaussian_filter(grey + grain, random.uniform(0.3, 1.0) / spacing)
    noise = random.uniform(0.01, 0.08)
    grey = grey + noise * smooth_noise(random, shape, random.uniform(0, 0.8) / spacing)
    drop_unseen(labels, seen, max(0.04, noise), MOST_ALIKE_IN_BODY)
    return as_shown(grey, spacing), labels


def made_up_trunk(
    place: np.ndarray, extent: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Grey values of air, fat, a wall of muscle and fat within; it may reach beyond."""
    middle = extent[1:] * random.uniform(0.4, 0.6, 2)
    radii = extent[1:] * random.uniform(0.4, 0.75, 2)
    along = (place[1:] - middle[:, None, None, None]) / radii[:, None, None, None]
    power = random.uniform(2, 3)
    radius = (np.abs(along) ** power).sum(0) ** (1 / power)
    grey = np.zeros(place.shape[1:])
    outer = random.uniform(0.75, 1)
    grey[radius < 1] = random.uniform(*FAT)
    grey[radius < outer] = random.uniform(*SOFT)
    grey[radius < outer * random.uniform(0.8, 1)] = random.uniform(*FAT)
    return grey


def drop_unseen(labels: np.ndarray, grey: np.ndarray, least: float, most: float) -> None:
    """Take out small objects, and those that most of their shell looks like."""
    for number in np.unique(labels[labels > 0]):
        mask = labels == number
        parts = cc3d.connected_components(mask, connectivity=6)
        sizes = np.bincount(parts.ravel())[1:]
        largest = parts == sizes.argmax() + 1
        labels[mask & ~largest] = 0
        shell = ndimage.binary_dilation(largest) & ~largest
        alike = np.abs(grey[shell] - np.median(grey[largest])) < least
        if sizes.max() < LEAST_VOXELS or not shell.any() or alike.mean() > most:
            labels[largest] = 0


def with_implants(volume: Volume, random: np.random.Generator) -> tuple[Volume, np.ndarray]:
    """Made-up organs among a patient's own, with the noise of the scanner."""
    real = volume.array.astype(np.float32)
    (region,) = ndimage.find_objects((real > PATIENT).astype(np.int8))
    real = real[region]
    patient = real > PATIENT
    body = ndimage.binary_closing(patient, iterations=2) | patient
    spacing = np.array(volume.geometry.spacing)
    grey, labels = real.copy(), np.zeros(real.shape, dtype=np.uint8)
    put_implants(grey, labels, body, spacing, random)
    seen, implanted = grey.copy(), labels > 0
    noise = np.clip(real - ndimage.gaussian_filter(real, 1.5), -NOISE, NOISE)
    grey[implanted] += random.uniform(0.5, 1.2) * noise[implanted]
    blurred = ndimage.gaussian_filter(grey, random.uniform(0.4, 0.9))
    rim = ndimage.binary_dilation(implanted, iterations=2)
    grey[rim] = blurred[rim] + random.uniform(0.3, 0.8) * noise[rim]
    drop_unseen(labels, seen, LEAST_CONTRAST, MOST_ALIKE_IN_BODY)
    small = np.flatnonzero(np.bincount(labels.ravel()) < LEAST_SHARE * labels.size)
    labels[np.isin(labels, small)] = 0
    array = np.clip(grey, 0, None).astype(volume.array.dtype)
    geometry = Geometry.from_spacing(array.shape, tuple(spacing), "mm")
    return replace(volume, array=array, geometry=geometry), labels


def put_implants(
    grey: np.ndarray,
    labels: np.ndarray,
    body: np.ndarray,
    spacing: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Fill turned superellipsoids within a body with grey values that it has elsewhere."""
    extent = np.array(grey.shape) * spacing
    place = warped_places(grey.shape, spacing, random)
    levels = np.quantile(grey[body], random.uniform(0.1, 0.97, 12))
    for number in range(1, int(random.integers(5, 14))):
        longest = random.uniform(0.08, 0.45) * float(extent.min())
        radius = made_up_radius(place, extent, random, longest, thin=0.1)
        inside = (radius < 1) & body
        grey[inside], labels[inside] = random.choice(levels), number
        if random.random() < 0.3:
            core = (radius < random.uniform(0.3, 0.7)) & body
            grey[core] += random.uniform(-60, 60)


@dataclass(frozen=True)
class Eye:
    """What sees volumes, and where what is seen of them is kept."""

    folder: Path
    encoder: str
    planes: Planes

    def keep(self, name: str, volume: Volume, labels: np.ndarray) -> None:
        """Write what is seen of a volume, unless that was done before."""
        path = self.folder / f"{name}.pt"
        if path.exists() or not labels.any():
            return
        job = prepare(volume, self.encoder, planes=self.planes)
        grey = torch.from_numpy(job.window.apply(volume.array)).half()
        looks = [
            (part.unit.cpu(), volume.array.shape, part.axis, part.step)
            for part in job.engine.objects("volume").looks
        ]
        kept = {
            "grey": grey,
            "labels": torch.from_numpy(labels.astype(np.uint8)),
            "spacing": volume.geometry.spacing,
            "looks": looks,
        }
        partial = path.with_suffix(".partial")  # `teach.py` may look at any moment.
        torch.save(kept, partial)
        partial.rename(path)
        print(path.name, tuple(grey.shape), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", default="filters")
    parser.add_argument("--planes", choices=get_args(Planes), default="auto")
    parser.add_argument("--patients", type=Path)
    parser.add_argument("--numbers", type=int, nargs="+", help="patients; all if left out")
    parser.add_argument("--merge", action="store_true", help="all labels are one object")
    parser.add_argument("--crops", type=int, default=4, help="of each patient")
    parser.add_argument("--implants", type=int, default=0, help="volumes of each patient")
    parser.add_argument(
        "--made-up", type=int, nargs=2, default=(0, 0), metavar=("FIRST", "END")
    )
    given = parser.parse_args()
    folder = given.folder / given.encoder.split("/")[-1]
    folder.mkdir(parents=True, exist_ok=True)
    eye = Eye(folder, given.encoder, given.planes)
    images = sorted(given.patients.glob("*_image.nii.gz")) if given.patients else []
    for image in images:
        number = image.name.split("_")[0]
        if int(number) % 2 == 0 or (given.numbers and int(number) not in given.numbers):
            continue
        volume = read_volume(image)
        labels, _ = read_labels(image.with_name(f"{number}_label.nii.gz"))
        if given.merge:
            labels = labels > 0
        eye.keep(f"{number}_whole", volume, labels)
        for crop in range(given.crops):
            name = f"{number}_crop{crop}"
            random = np.random.default_rng(zlib.crc32(f"{name}.pt".encode()))
            eye.keep(name, *crop_around_organ(volume, labels, random))
        for implant in range(given.implants):
            random = np.random.default_rng([int(number), implant])
            eye.keep(f"{number}_implant{implant}", *with_implants(volume, random))
    for number in range(*given.made_up):
        eye.keep(f"{number:03}_made_up", *made_up(np.random.default_rng(number)))
        eye.keep(f"{number:03}_body", *made_up_body(np.random.default_rng(number)))


if __name__ == "__main__":
    main()
