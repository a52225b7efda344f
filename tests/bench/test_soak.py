"""How fast what is seen of two processes grows."""

from __future__ import annotations

from napari_dinomed.bench.soak import Look, slopes


def looks(grows_by):
    return [Look(n, n, 500, 400 + grows_by * n, 20, 30, 9, 8) for n in range(0, 2000, 10)]


def test_the_slope_is_what_a_thousand_clicks_add():
    found = slopes(looks(grows_by=0.02))
    assert round(found.pop("engine_mb"), 6) == 20
    assert max(map(abs, found.values())) < 1e-6
