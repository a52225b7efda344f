"""Labels of the tiles of a slide: taught by some, told of all."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_dinomed.cli import app
from napari_dinomed.errors import VolumeError
from napari_dinomed.io.format import FIRST
from napari_dinomed.whole.embed import tiles_of
from napari_dinomed.whole.table import Row, read_table

TILE, GRID = 64, (4, 6)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """Tiles that are striped or plain, and which are striped."""
    random = np.random.default_rng(0)
    is_striped = random.integers(0, 2, GRID)
    is_striped[:, 0] = 0, 1, 0, 1
    stripes = 60 * (np.arange(TILE * GRID[1]) % 8 < 4)
    where = np.kron(is_striped, np.ones((TILE, TILE), int))
    grey = 120 + where * stripes + random.normal(0, 6, where.shape)
    # At the far ends less than half a tile is left, which is none.
    colours = np.pad(grey, ((0, 20), (0, 20)), constant_values=250).astype(np.uint8)
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.stack([colours] * 3, axis=-1), photometric="rgb", tile=(64, 64))
    return path, is_striped


def test_tiles_of_a_slide_are_told_and_can_be_taught_with_again(slide, tmp_path):
    path, is_striped = slide
    with (tmp_path / "some.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "patient", "region", "striped"])
        for row, column in np.ndindex(GRID[0], GRID[1] // 2):
            region = f"{row * TILE},{column * TILE},{TILE},{TILE}"
            patient = f"{row}/{column}"
            writer.writerow([path, patient, region, is_striped[row, column]])

    def run(*given):
        command = ["volumes", *(str(one) for one in given)]
        done = CliRunner().invoke(app, command, env={"COLUMNS": "120"})
        assert done.exit_code == 0, done.exception
        return done.output

    model, told = tmp_path / "striped.dinowhole", tmp_path / "all.csv"
    run("fit", tmp_path / "some.csv", "--out", model)
    output = run("predict", model, path, "--tile", TILE, "--level", 0, "--out", told)
    assert "24 tiles, 0 of them failed" in output
    with told.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["volume", "level", "region", "striped", "error"]
    found = np.array([float(row["striped"]) for row in rows]).reshape(GRID)
    right = (found > 0.5) == is_striped
    assert right[:, GRID[1] // 2 :].mean() > 0.9
    again = read_table(told)
    assert again[1].pick.region == (0, TILE, TILE, TILE)
    assert again[1].pick.part == "0"


def test_a_last_tile_counts_from_half_of_one_on(slide):
    tiles = tiles_of(Row(slide[0], "", None, {}, FIRST), 80)
    regions = {row.pick.region for row in tiles}
    # 276 rows and 404 columns: 36 rows are left, and 4 columns.
    assert len(regions) == 3 * 5
    assert (160, 320, 80, 80) in regions
    taller = tiles_of(Row(slide[0], "", None, {}, FIRST), 60)
    assert (240, 0, 36, 60) in {row.pick.region for row in taller}


def test_a_region_that_is_none_is_told(tmp_path, slide):
    (tmp_path / "bad.csv").write_text(f"volume,region,a\n{slide[0]},here,1\n")
    with pytest.raises(VolumeError, match="Expected a region as ROW"):
        read_table(tmp_path / "bad.csv")
