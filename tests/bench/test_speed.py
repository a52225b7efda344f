"""How the time of a click grows."""

from __future__ import annotations

from napari_dinomed.bench import speed
from napari_dinomed.bench.plots import plot_scaling

SMALL = {"slices": (16, 32), "rows and columns": (64,), "clicks": (1, 9), "labels": (3,)}


def test_scaling_is_measured_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "SCALES", SMALL)
    monkeypatch.setattr(speed, "_ROWS", 64)
    rows = list(speed.measure_scaling("filters", "cpu", lambda event: None))
    sizes = [(scale, size) for scale, sizes in SMALL.items() for size in sizes]
    assert [(row.scale, row.size) for row in rows] == sizes
    assert all(0 < row.painted <= row.whole < 30 for row in rows)
    plot_scaling(tmp_path / "speed.png", rows)
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
