"""Model size, resolution and readout against each other."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_dinomed.bench.areas import plot_areas
from napari_dinomed.bench.heat import plot_scale
from napari_dinomed.cli import app
from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.filters import FilterEncoder
from napari_dinomed.whole import eye
from napari_dinomed.whole.readout import READOUTS, Figures
from napari_dinomed.whole.scale import Trial, grids_of


def _figures(label, readout, auroc):
    return Figures(label, readout, 10, 5, auroc, 0.5, 1.0, auroc, 0.1, 0.5)


def _trial(encoder, side, auroc):
    return Trial(
        encoder,
        side,
        tuple(
            _figures(label, readout, auroc + 0.1 * (label == "b"))
            for label in "ab"
            for readout in READOUTS
        ),
    )


def test_a_grid_for_each_readout_with_means_over_labels(tmp_path):
    trials = [
        _trial("small", 224, 0.6),
        _trial("small", 448, 0.7),
        _trial("filters", 0, 0.5),
    ]
    first, second = grids_of([*trials, _trial("large", 448, 0.8)])
    assert (first.readout, second.readout) == READOUTS
    assert first.encoders == ("small", "filters", "large")
    assert first.sides == (224, 448)
    np.testing.assert_allclose(first.means, [[0.65, 0.75], [0.55, 0.55], [np.nan, 0.85]])
    pytest.importorskip("matplotlib")
    plot_scale(tmp_path / "heat.png", (first, second))
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")


def test_one_encoder_is_drawn_with_its_intervals(tmp_path, monkeypatch):
    """An interval of draws need not hold the AUROC of all patients."""
    axes = pytest.importorskip("matplotlib.axes").Axes
    drawn, draw = [], axes.errorbar

    def noted(self, *given, **named):
        drawn.append((given, named))
        return draw(self, *given, **named)

    monkeypatch.setattr(axes, "errorbar", noted)
    figures = [
        Figures(label, readout, 10, 5, 0.7, 0.75, 0.9, 0.7, 0.1, 0.5)
        for label in "ab"
        for readout in READOUTS
    ]
    plot_areas(tmp_path / "areas.png", Trial("small", 0, tuple(figures)))
    assert (tmp_path / "areas.png").read_bytes().startswith(b"\x89PNG")
    assert len(drawn) == len(READOUTS)
    (areas, _), given = drawn[0]
    np.testing.assert_allclose(areas, [0.7, 0.7])
    np.testing.assert_allclose(given["xerr"], [[0, 0], [0.2, 0.2]])


class Means:
    """An encoder whose tokens are means of patches of eight pixels."""

    spec, signature, device = FILTERS, "means", "CPU"
    window, metric, is_planar = None, "cosine", True
    position_channels, block = 0, 4

    def remarks(self, volume, plan):
        return ()

    def channels(self, images):
        return 3

    def grid(self, slice_shape, plan):
        return plan.height // 8, plan.width // 8

    def encode(self, stack, start, stop, plan):
        slices = torch.from_numpy(stack.read(start, stop))[:, None]
        grid = self.grid(stack.slice_shape, plan)
        mean = torch.nn.functional.adaptive_avg_pool2d(slices, grid)
        most = torch.nn.functional.adaptive_max_pool2d(slices, grid)
        return torch.cat([mean, most, torch.ones_like(mean)], 1).half().numpy()


def test_encoders_and_sides_as_one_table_and_one_map(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "ill"])
        for number in range(8):
            grey = random.normal(60, 8, (4, 32, 32))
            grey[:, 8:14, 8:14] += 90 * (number % 2)
            np.save(tmp_path / f"{number}.npy", grey.clip(0, 255).astype(np.uint8))
            writer.writerow([f"{number}.npy", number % 2])
    encoders = {"filters": FilterEncoder(), "means": Means()}
    monkeypatch.setattr(eye, "make_encoder", lambda name, *_: encoders[name])
    seen = []
    encode = Means.encode

    def noted(self, stack, start, stop, plan):
        seen.append((plan.height, plan.width))
        return encode(self, stack, start, stop, plan)

    monkeypatch.setattr(Means, "encode", noted)
    given = (
        *("volumes", "evaluate", tmp_path / "table.csv", "--encoder", "means"),
        *("--encoder", "filters", "--side", 32, "--side", 64),
        *("--plot", tmp_path / "heat.png", "--json", tmp_path / "figures.json"),
    )
    done = CliRunner().invoke(app, [str(one) for one in given])
    assert done.exit_code == 0, done.output
    assert set(seen) == {(32, 32), (64, 64)}
    assert "mean AUROC, probe" in done.output
    rows = json.loads((tmp_path / "figures.json").read_text())["volumes"]
    assert {(row["encoder"], row["side"]) for row in rows} == {
        ("means", 32),
        ("means", 64),
        ("filters", 0),
    }
    assert all(row["auroc"] > 0.9 for row in rows if row["readout"] == "probe")
    assert (tmp_path / "heat.png").exists()
