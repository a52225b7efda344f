"""Labels in every format, torn while they are written: the old ones or the new, whole."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_dinomed.errors import WriteError
from napari_dinomed.io import read_labels, read_volume, write_labels
from napari_dinomed.io.registry import label_suffixes
from tests.conftest import LONG
from tests.io import made

resource = pytest.importorskip("resource", reason="limits and kills as POSIX does")
# Each format once; of the others' endings there is nothing new to see.
SUFFIXES = sorted(set(label_suffixes()) - {".ome.tiff", ".tiff", ".tif", ".rec", ".map"})
# Upright, so that every format can hold the grid.
MATRIX = np.array([[0, 0, 1.0, -20], [0, 1.0, 0, -30], [2.0, 0, 0, -9], [0, 0, 0, 1.0]])
OLD = np.random.default_rng(0).integers(0, 5, (8, 40, 41)).astype(np.uint8)
NEW = (OLD + 1) % 5
KILLS = 20 if LONG else 3

# Forks a child for each writing: the alarm kills it wherever it is, also inside of a
# library. None is written before, since threads that it would start are not forked.
TORN = """
import json, os, shutil, signal, sys, time
from pathlib import Path
import numpy as np
import SimpleITK, highdicom, tifffile, zarr, ome_zarr.writer, mrcfile, nrrd, nibabel
from napari_dinomed.io import read_volume, write_labels

root, kills = Path(sys.argv[1]), int(sys.argv[2])
volume = read_volume(root / "series")
old, new = (np.load(root / f"{name}.npy") for name in ("old", "new"))

def forked(place, labels, seconds=0.0):
    pid = os.fork()
    if pid == 0:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        write_labels(place, labels, volume)
        os._exit(0)
    begun = time.perf_counter()
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status), time.perf_counter() - begun

killed = {}
for suffix in sys.argv[3:]:
    places = [root / f"{suffix}{n}" / f"labels{suffix}" for n in range(kills)]
    places[0].parent.mkdir()
    seconds = forked(places[0], old)[1]
    for place in places[1:]:
        shutil.copytree(places[0].parent, place.parent)
    killed[suffix] = [
        forked(place, new, max(seconds * n / kills, 1e-4))[0]
        for n, place in enumerate(places)
    ]
print(json.dumps(killed))
"""


@pytest.fixture(scope="module")
def torn(tmp_path_factory):
    """Where labels were being replaced when their writers died, and which died."""
    root = tmp_path_factory.mktemp("torn")
    series = made.write_dicom(root / "series", OLD.astype(np.int16), MATRIX)
    volume = read_volume(series)
    for name, array in (("old", OLD), ("new", NEW)):
        np.save(root / f"{name}.npy", volume.geometry.from_file_order(array))
    command = [sys.executable, "-c", TORN, str(root), str(KILLS), *SUFFIXES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root, volume, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_any_moment(torn, suffix):
    root, volume, killed = torn
    # At the least the one that had a ten-thousandth of a second.
    assert killed[suffix][0]
    for number in range(KILLS):
        place = root / f"{suffix}{number}" / f"labels{suffix}"
        labels, _ = read_labels(place)
        is_new = _is(NEW, labels, volume)
        assert is_new or (killed[suffix][number] and _is(OLD, labels, volume))
    write_labels(place, labels, volume)
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def _is(wanted, labels, volume):
    """Whether labels are those, on the canonical grid or, without a patient, the file's."""
    canonical = volume.geometry.from_file_order(wanted)
    return np.array_equal(labels, canonical) or np.array_equal(labels, wanted)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_is_full_in_the_middle(torn, tmp_path, suffix):
    _, volume, _ = torn
    place = tmp_path / f"labels{suffix}"
    canonical = [volume.geometry.from_file_order(each) for each in (OLD, NEW)]
    write_labels(place, canonical[0], volume)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(WriteError, match=f"labels{suffix}"):
            write_labels(place, canonical[1], volume)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert _is(OLD, read_labels(place)[0], volume)
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
