"""All that looks alike, on made stacks of bright blobs on a dark ground.

    python resources/blobs.py

Prints a Markdown table of Dice after 1, 3 and 5 clicks, with the built-in filters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.bench.case import Case
from napari_dinomed.bench.interactive import product, run_case
from napari_dinomed.headless import prepare
from napari_dinomed.volume import Geometry, Volume

SHAPE = (8, 256, 256)
SPACING = (1.0, 0.25, 0.25)
GROUND, CONTRAST = 40, 100


@dataclass(frozen=True)
class Blobs:
    """How many of which radius (pixels), on what noise; balls, or through all slices."""

    radius: int
    count: int
    noise: float = 15.0
    are_balls: bool = False
    is_uneven: bool = False

    def case(self) -> Case:
        random = np.random.default_rng(0)
        depths, rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
        truth = np.zeros(SHAPE, dtype=bool)
        for _ in range(self.count):
            y, x = random.uniform(self.radius + 2, SHAPE[1] - self.radius - 2, 2)
            z = random.uniform(0, SHAPE[0])
            disc = (rows - y) ** 2 + (columns - x) ** 2 < self.radius**2
            reach = max(2, self.radius / 4) if self.are_balls else SHAPE[0]
            truth |= disc & (np.abs(depths - z) < reach)
        grey = GROUND + CONTRAST * ndimage.gaussian_filter(truth.astype(float), (0, 1, 1))
        grey += random.normal(0, self.noise, SHAPE)
        if self.is_uneven:
            grey += 25 * ndimage.gaussian_filter(random.normal(0, 1, SHAPE), (1, 12, 12))
        array = grey.clip(0, 255).astype(np.uint8)
        return Case(Volume(array, Geometry.from_spacing(SHAPE, SPACING, "um")), truth)


STACKS = (
    Blobs(3, 40),
    Blobs(6, 12),
    Blobs(6, 60, are_balls=True),
    Blobs(10, 12),
    Blobs(10, 12, noise=45),
    Blobs(10, 12, is_uneven=True),
    Blobs(14, 45),
    Blobs(16, 12),
)


def main() -> None:
    print("| blobs | share | 1 click | 3 clicks | 5 clicks |\n|---|---|---|---|---|")
    means = []
    for blobs in STACKS:
        case = blobs.case()
        method = product(prepare(case.volume, "filters"), Meaning.ALL_LIKE_THIS)
        dice_after = run_case(case, method, 5).dice
        after = [dice_after[index] for index in (0, 2, 4)]
        means.append(after)
        figures = " | ".join(f"{dice:.2f}" for dice in after)
        print(f"| {blobs} | {case.truth.mean():.3f} | {figures} |", flush=True)
    print("| mean | | " + " | ".join(f"{dice:.2f}" for dice in np.mean(means, 0)) + " |")


if __name__ == "__main__":
    main()
