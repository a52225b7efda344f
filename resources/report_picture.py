"""A picture of the report that ``apply`` writes, of made-up abdomens.

    python resources/report_picture.py OUT.png

Four teach a model, six are labelled by it: four like those, one in noise, and one that is
cut off. Chromium draws the page; it has to be installed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_dinomed.io import write_image, write_labels
from napari_dinomed.volume import NamedLabel, Volume
from napari_dinomed.volume.phantom import ORGANS, ct_abdomen

TAUGHT, LABELLED = range(4), range(4, 10)
ORGAN = "right kidney"
# Pixels of the picture.
SIZE = (1000, 900)


def made_up(seed: int) -> tuple[Volume, np.ndarray]:
    """An abdomen and its kidney; the last two are odd."""
    volume, labels = ct_abdomen((32, 96, 116), seed=seed)
    names = [organ.name for organ in ORGANS]
    truth = (labels == 1 + names.index(ORGAN)).astype(np.uint8)
    array = np.asarray(volume.array)
    if seed == LABELLED[-2]:
        array = array + np.random.default_rng(0).normal(0, 150, array.shape)
    if seed == LABELLED[-1]:
        array, truth = array[:20], truth[:20]
    geometry = volume.geometry.part((0, 0, 0), array.shape)
    return replace(volume, array=array.astype(np.int16), geometry=geometry), truth


def dinomed(*arguments: object) -> None:
    """Run a command of the program."""
    command = [sys.executable, "-m", "napari_dinomed", *map(str, arguments)]
    subprocess.run(command, check=True)


def main() -> None:
    """Make the volumes, teach, apply, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        teaching = []
        for seed in (*TAUGHT, *LABELLED):
            volume, truth = made_up(seed)
            image = folder / f"case {seed:02}.nii.gz"
            write_image(image, np.asarray(volume.array), volume)
            if seed in TAUGHT:
                labels = folder / f"labels {seed:02}.nrrd"
                write_labels(labels, truth, volume, (NamedLabel(1, ORGAN, (0.9, 0.6, 0)),))
                teaching += ["--image", image, "--labels", labels]
        model = folder / "kidney.dinomed"
        dinomed("teach", *teaching, "--out", model)
        cases = [folder / f"case {seed:02}.nii.gz" for seed in LABELLED]
        dinomed("apply", model, *cases, "--out", folder / "labelled")
        shot = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={out}"]
        size = "--window-size={},{}".format(*SIZE)
        page = (folder / "labelled" / "report.html").as_uri()
        subprocess.run(["chromium", *shot, size, page], check=True)


if __name__ == "__main__":
    main()
