"""Volumes made up by rule, for the demo and the tests: no download, no licence.

Both come with their own truth, so that a mask can be judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.volume.geometry import Geometry
from napari_dinomed.volume.volume import Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Ellipsoid:
    """An organ: centre and half-axes as fractions of the volume (z, y, x), value in HU."""

    name: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    value: float
    roughness: float = 0.08


# Painted in this order, later ones over earlier ones. z runs head to feet, y front to
# back, x from the patient's right to left.
_BODY = Ellipsoid("body", (0.5, 0.5, 0.5), (9.0, 0.40, 0.46), -95, 0.03)
_WALL = Ellipsoid("muscle", (0.5, 0.50, 0.5), (9.0, 0.35, 0.41), 52, 0.03)
_CAVITY = Ellipsoid("fat", (0.5, 0.45, 0.5), (9.0, 0.29, 0.36), -98, 0.05)
ORGANS = (
    Ellipsoid("liver", (0.36, 0.42, 0.31), (0.34, 0.22, 0.17), 108),
    Ellipsoid("stomach", (0.33, 0.33, 0.62), (0.22, 0.11, 0.12), 35),
    Ellipsoid("spleen", (0.33, 0.56, 0.78), (0.21, 0.10, 0.065), 122),
    Ellipsoid("right kidney", (0.62, 0.62, 0.34), (0.20, 0.085, 0.065), 165, 0.04),
    Ellipsoid("left kidney", (0.55, 0.62, 0.67), (0.20, 0.085, 0.065), 165, 0.04),
    Ellipsoid("vertebra", (0.5, 0.69, 0.5), (9.0, 0.075, 0.075), 240, 0.05),
    Ellipsoid("aorta", (0.5, 0.58, 0.53), (9.0, 0.030, 0.027), 205, 0.02),
    Ellipsoid("vena cava", (0.5, 0.57, 0.455), (9.0, 0.028, 0.032), 150, 0.02),
)
_BOWEL_LOOPS = 9


def ct_abdomen(
    shape: tuple[int, int, int] = (44, 132, 160), seed: int = 7
) -> tuple[Volume, NDArray[np.uint8]]:
    """A CT-like abdomen in HU, 4 × 2.4 × 2.4 mm, contrast-enhanced, with noise.

    Parameters
    ----------
    shape
        Voxels along (z, y, x).
    seed
        Of the anatomy's irregularities and the noise.

    Returns
    -------
    tuple
        The volume (int16), and the truth: organ ``n`` of `ORGANS` is label n + 1.
    """
    random = np.random.default_rng(seed)
    place = _normalised_grid(shape)
    grey = np.full(shape, -1000, dtype=np.float32)
    for part in (_BODY, _WALL, _CAVITY):
        grey[_inside(part, place, random)] = part.value
    for _ in range(_BOWEL_LOOPS):
        loop = _bowel_loop(random)
        grey[_inside(loop, place, random) & (grey == _CAVITY.value)] = loop.value
    truth = np.zeros(shape, dtype=np.uint8)
    for label, organ in enumerate(ORGANS, start=1):
        mask = _inside(organ, place, random) & (grey > -500)
        grey[mask], truth[mask] = organ.value, label
    liver = truth == 1
    grey[liver] += 55 * _is_vessel([axis[liver] for axis in place], random)
    texture = 6 * _smooth_noise(shape, 2.0, random) + random.normal(0, 14, shape)
    grey = _blur(grey, 0.6) + texture.astype(np.float32)
    geometry = Geometry.from_file(
        shape, _radiological_affine(shape, (4.0, 2.4, 2.4)), "mm", patient=True
    )
    voxels = np.clip(np.rint(grey), -1024, 3071).astype(np.int16)
    return Volume(voxels, geometry, "CT"), truth


def em_stack(
    shape: tuple[int, int, int] = (16, 256, 256), seed: int = 3
) -> tuple[Volume, NDArray[np.uint8]]:
    """An EM-like stack of cells with mitochondria, 40 × 8 × 8 nm, uint8.

    Returns
    -------
    tuple
        The volume, and the truth: 1 where a mitochondrion is.
    """
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    warp = 14 * _smooth_noise(shape, 20.0, random)
    cells = random.uniform((-0.5, 0, 0), (1.5, *shape[1:]), (36, 3))
    cells[:, 0] *= shape[0]
    owner, wall = _cells(z * 5.0, y + warp, x - warp, cells * (5.0, 1, 1))
    cytoplasm = 165 + 12 * _smooth_noise(shape, 4.0, random)
    grey = np.where(wall < 2.0, 70.0, cytoplasm)
    truth = np.zeros(shape, dtype=np.uint8)
    for _ in range(22):
        centre = random.uniform((0, 10, 10), (shape[0], shape[1] - 10, shape[2] - 10))
        body, stripes = _mitochondrion(z, y, x, centre, random)
        body &= (owner == owner[tuple(centre.astype(int))]) & (wall > 4.0)
        truth[body] = 1
        grey[body] = 112 + 22 * stripes[body]
        rim = body & ~_shrunk(body)
        grey[rim] = 62
    grey = _blur(grey.astype(np.float32), 0.7) + random.normal(0, 9, shape)
    geometry = Geometry.from_spacing(shape, (40.0, 8.0, 8.0), "nm")
    voxels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return Volume(voxels, geometry, "EM"), truth


def _radiological_affine(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> NDArray[np.float64]:
    """(k, j, i) to RAS mm, from head to feet, front to back, right to left, centred."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for axis, world in enumerate((2, 1, 0)):
        affine[world, axis] = -spacing[axis]
        affine[world, 3] = spacing[axis] * (shape[axis] - 1) / 2
    return affine


def _normalised_grid(shape: tuple[int, int, int]) -> list[Floats]:
    axes = [((np.arange(n) + 0.5) / n).astype(np.float32) for n in shape]
    return list(np.meshgrid(*axes, indexing="ij"))


def _inside(part: Ellipsoid, place: list[Floats], random: np.random.Generator) -> Bools:
    """Voxels of an ellipsoid whose surface is bent by a few smooth waves."""
    distance = sum(
        ((axis - c) / r) ** 2
        for axis, c, r in zip(place, part.centre, part.radii, strict=True)
    )
    waves = np.zeros_like(place[0])
    for _ in range(4):
        wave = random.normal(0, 14, 3)
        phase = random.uniform(0, 2 * np.pi)
        waves += np.sin(
            phase + sum(w * axis for w, axis in zip(wave, place, strict=True))
        ).astype(np.float32)
    return np.asarray(distance < (1 + part.roughness * waves) ** 2)


def _bowel_loop(random: np.random.Generator) -> Ellipsoid:
    centre = random.uniform((0.6, 0.25, 0.25), (1.0, 0.5, 0.75))
    radii = random.uniform((0.08, 0.05, 0.06), (0.2, 0.09, 0.13))
    return Ellipsoid("bowel", tuple(centre), tuple(radii), random.uniform(15, 60))


def _is_vessel(place: list[Floats], random: np.random.Generator) -> Bools:
    """Points in the branches that spread from the liver's hilum as bent tubes."""
    z, y, x = place
    found = np.zeros(z.shape, dtype=bool)
    for _ in range(9):
        end = np.array([0.36, 0.42, 0.28]) + random.normal(0, (0.18, 0.12, 0.09))
        for step in np.linspace(0, 1, 40):
            cz, cy, cx = (1 - step) * np.array([0.45, 0.5, 0.42]) + step * end
            bend = 0.02 * np.sin(6 * step)
            radius = 0.018 * (1.2 - step)
            near = ((z - cz) / 1.6) ** 2 + (y - cy - bend) ** 2 + (x - cx) ** 2
            found |= near < radius**2
    return found


def _mitochondrion(
    z: NDArray[np.int64],
    y: NDArray[np.int64],
    x: NDArray[np.int64],
    centre: NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[Bools, Floats]:
    """A capsule across some sections, and the stripes of its cristae."""
    cz, cy, cx = centre
    angle = random.uniform(0, np.pi)
    along = (y - cy) * np.cos(angle) + (x - cx) * np.sin(angle)
    across = (x - cx) * np.cos(angle) - (y - cy) * np.sin(angle)
    length, width = random.uniform(18, 34), random.uniform(11, 17)
    body = (along / length) ** 2 + (across / width) ** 2 + ((z - cz) / 4.0) ** 2 < 1
    return body, np.sign(np.sin(along * 1.1 + 2 * np.sin(across * 0.3)))


def _cells(
    z: Floats, y: Floats, x: Floats, centres: NDArray[np.float64]
) -> tuple[NDArray[np.int64], Floats]:
    """Which of the centres (n, 3) is nearest, and how far the wall to its neighbours is."""
    squares = [
        ((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2).astype(np.float32)
        for cz, cy, cx in centres
    ]
    owner = np.argmin(squares, axis=0)
    nearest = np.min(squares, axis=0)
    wall = np.full(z.shape, np.inf, dtype=np.float32)
    for number, square in enumerate(squares):
        apart = np.linalg.norm(centres - centres[number], axis=1)
        apart[number] = np.inf
        other = owner != number
        beyond = (square - nearest)[other] / (2 * apart[owner[other]])
        wall[other] = np.minimum(wall[other], beyond)
    return owner, wall


def _shrunk(mask: Bools) -> Bools:
    """The mask less its rim of two pixels within the slice."""
    inner = mask.copy()
    for axis in (1, 2):
        for shift in (-2, 2):
            inner &= np.roll(mask, shift, axis)
    return inner


def _smooth_noise(
    shape: tuple[int, int, int], width: float, random: np.random.Generator
) -> Floats:
    """Noise of unit variance, smooth over ``width`` pixels within the slice."""
    noise = _blur(random.normal(0, 1, shape).astype(np.float32), width)
    return np.asarray(noise / noise.std())


def _blur(array: Floats, width: float) -> Floats:
    """Gaussian blur within the slices, by its transfer function."""
    rows = np.fft.fftfreq(array.shape[1])[:, None]
    columns = np.fft.rfftfreq(array.shape[2])[None]
    transfer = np.exp(-2 * (np.pi * width) ** 2 * (rows**2 + columns**2))
    spectrum = np.fft.rfft2(array, axes=(1, 2)) * transfer
    return np.fft.irfft2(spectrum, s=array.shape[1:], axes=(1, 2)).astype(np.float32)
