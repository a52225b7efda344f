"""How a stained section is read: brown cells and blue nuclei, in colours and in grey.

    python resources/stained.py --encoder filters --encoder file:vit.safetensors

The section is scikit-image's immunohistochemistry of a colon (512×512 pixels), and what is
to be found is where one of its two stains is strong: a stand-in for expert labels, of which
there are none here. *All like this*, clicks in the middle of the largest error.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage import color, data, filters, io, morphology

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.bench.clicks import next_click
from napari_dinomed.bench.metrics import dice
from napari_dinomed.headless import prepare
from napari_dinomed.io import read_volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinomed.volume import Volume

# Channels of what stains are told apart by (Ruifrok and Johnston 2001).
_STAINS = {"nuclei (haematoxylin)": 0, "brown cells (DAB)": 2}
# Pixels: a stain is smoothed so much, and what is smaller is no cell.
_SIGMA, _LEAST = 2.0, 40
_CLICKS = 10


def stained(section: NDArray[np.uint8], stain: int) -> NDArray[np.bool_]:
    """Where (z, y, x) a stain is strong (Otsu 1979)."""
    strength = ndimage.gaussian_filter(color.rgb2hed(section)[..., stain], _SIGMA)
    strong = strength > filters.threshold_otsu(strength)
    return morphology.remove_small_objects(strong, max_size=_LEAST)[None]


def clicked(volume: Volume, truth: NDArray[np.bool_], encoder: str) -> Iterator[float]:
    """Dice after each click."""
    job = prepare(volume, encoder)
    label, prompts, mask = new_label(1, Meaning.ALL_LIKE_THIS), Prompts(), truth & False
    for _ in range(_CLICKS):
        point = next_click(truth, mask, volume.geometry.spacing, label.id)
        if point is not None:
            prompts = prompts.plus(point)
            mask = job.segment((label,), prompts) == label.id
        yield dice(truth, mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", required=True)
    given = parser.parse_args()
    section = data.immunohistochemistry()
    shown = {"colours": section, "grey": np.uint8(255 * color.rgb2gray(section))}
    print("| encoder | shown in | what | 1 click | 3 clicks | 5 clicks | 10 clicks |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for encoder in given.encoder:
            for how, pixels in shown.items():
                path = Path(folder) / f"{how}.png"
                io.imsave(path, pixels, check_contrast=False)
                for what, stain in _STAINS.items():
                    after = list(
                        clicked(read_volume(path), stained(section, stain), encoder)
                    )
                    told = [f"{after[count - 1]:.2f}" for count in (1, 3, 5, 10)]
                    row = (encoder.split("/")[-1], how, what, *told)
                    print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
