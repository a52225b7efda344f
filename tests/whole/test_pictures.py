"""Pictures and X-rays, one slice each: labels of the whole, and labels inside."""

from __future__ import annotations

import csv

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_dinomed.io import read_labels
from tests.command import run
from tests.io import made

pytestmark = pytest.mark.usefixtures("few_choices")
SIDE = 48
MATRIX = np.array([[0, 0, -0.2, 0], [0, -0.2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


def _write_png(path, grey):
    imageio.imwrite(path.with_suffix(".png"), grey.astype(np.uint8))
    return path.with_suffix(".png")


def _write_xray(path, grey):
    """Each in a folder of its own; every other is stored as a negative, as film is."""
    is_negative = int(path.name) % 2
    stored = 255 - grey if is_negative else grey
    folder = made.write_dicom(
        path,
        grey[None],
        MATRIX,
        Modality="DX",
        RescaleIntercept=0,
        BitsStored=8,
        HighBit=7,
        PhotometricInterpretation=f"MONOCHROME{1 if is_negative else 2}",
        PixelData=stored.astype(np.uint16).tobytes(),
        SeriesInstanceUID=f"1.2.3.{path.name}",
    )
    return next(folder.iterdir())


@pytest.mark.parametrize("write", [_write_png, _write_xray])
def test_images_of_one_slice_are_told_and_segmented(tmp_path, write):
    random = np.random.default_rng(0)
    images, table = [], tmp_path / "t.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "mass"])
        for number in range(12):
            grey = random.normal(80, 8, (SIDE, SIDE)).clip(0, 255)
            has_mass = number // 2 % 2
            grey[20:40, 24:44] += 100 * has_mass
            images.append(write(tmp_path / f"{number}", grey.round()))
            writer.writerow([images[-1], has_mass])
    model, out = tmp_path / "m.dinowhole", tmp_path / "p.csv"
    done = run("volumes", "fit", table, "--out", model)
    assert done.returncode == 0, done.stderr
    assert run("volumes", "predict", model, *images, "--out", out).returncode == 0
    told = [float(row["mass"]) > 0.5 for row in csv.DictReader(out.open())]
    assert told == [bool(number // 2 % 2) for number in range(12)]
    labels = tmp_path / "mass.nrrd"
    clicks = ("--point", "0,30,34=1", "--point", "0,5,5=-1")
    for image in images[2:4]:
        done = run("segment", image, *clicks, "--encoder", "filters", "--out", labels)
        assert done.returncode == 0, done.stderr
        found = read_labels(labels)[0][0] == 1
        mass = np.zeros((SIDE, SIDE), bool)
        mass[20:40, 24:44] = True
        assert 2 * (found & mass).sum() / (found.sum() + mass.sum()) > 0.8
