"""What a window writes of a DICOM series: its place is in the settings alone."""

from __future__ import annotations

import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dinomed.io import read_volume
from napari_dinomed.plugin.layers import image_options
from napari_dinomed.plugin.recent import forget_recent, remember_recent
from napari_dinomed.plugin.workbench import Workbench
from tests.fakes import FakeEngine
from tests.io.test_privacy import PLACE, series, told_in

__all__ = ["series"]


@pytest.fixture
def bench(series, loop):
    volume = read_volume(series)
    viewer = ViewerModel()
    workbench = Workbench(viewer, FakeEngine(), loop.deliver)
    remember_recent(workbench)
    viewer.layers.append(Image(volume.array, **image_options(volume, "case")))
    workbench.bind(viewer.layers[0])
    loop.run()
    yield workbench
    workbench.close()


def test_a_window_names_the_place_where_it_offers_it_again(
    bench, click, save, loop, tmp_path, home
):
    out = tmp_path / "out"
    out.mkdir()
    click(bench, 6, 16, 18)
    save(bench, out / "labels.nii.gz")
    bench.exchange.save_statistics(out / "figures.csv")
    loop.wait((out / "figures.csv").exists)
    bench.exchange.save_surface(out / "surface.stl")
    loop.wait((out / "surface.stl").exists)
    bench.exchange.save_copy(out / "copy.dinomed.json")
    bench.close()
    written = {path.name for path in out.iterdir()}
    assert len(written) == 5, written
    assert written >= {"labels.nii.gz", "figures.csv", "surface.stl", "copy.dinomed.json"}
    assert any(home.rglob("*.dinomed.jsonl"))
    assert told_in(out) == {}
    assert told_in(home) == {"settings.json": [PLACE]}
    forget_recent()
    assert told_in(home) == {}
