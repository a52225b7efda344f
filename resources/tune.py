"""Compare weights of the network on volumes that taught none of them.

    python resources/tune.py FOLDER network.safetensors other.safetensors

``FOLDER`` is filled by ``teach_volumes.py``, from patients that `teach.py` was not given.
Every object is clicked ten times, each time in the middle of the largest error; the table
has mean Dice after 1, 5 and 10 clicks, its mean over all ten, and the largest loss by one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from teach import Scan, Scene, returned

from napari_dinomed.segment.one_object import cues as cue_names
from napari_dinomed.segment.one_object.cues import Marks
from napari_dinomed.segment.one_object.method import WITHOUT
from napari_dinomed.segment.one_object.network import CueNet, Weigher
from napari_dinomed.segment.one_object.options import SearchOptions
from napari_dinomed.segment.one_object.search import Search, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.segment.one_object.cells import Cells

    Weigh = Callable[[Cells, torch.Tensor], torch.Tensor]

_CLICKS = 10


def clicked(scene: Scene, weigh: Weigh) -> Iterator[float]:
    """Dice after each click."""
    parts = parts_of(scene.truth.shape, scene.spacing, SearchOptions())
    search = Search(scene.see, weigh, scene.whole, parts=parts)
    mask, found, overlap = np.zeros_like(scene.truth), None, 0.0
    sides = {side: np.zeros((0, 3), dtype=np.int64) for side in (True, False)}
    for _ in range(_CLICKS):
        click = scene.click(mask, None)
        if click is not None:
            voxel, adds = click
            sides[adds] = np.vstack([sides[adds], voxel])
            marks = Marks(sides[True], sides[False])
            steps = (
                search.first(marks)
                if found is None
                else search.later(marks, found, voxel, adds)
            )
            found = returned(steps)
            mask = scene.mask_of(found, sides[True])
            overlap = 2 * (mask & scene.truth).sum() / (mask.sum() + scene.truth.sum())
        yield overlap


def curves(folder: Path, weigh: Weigh) -> np.ndarray:
    """Dice (objects, clicks) of every labelled object of a folder."""
    rows = []
    for file in sorted(folder.glob("*.pt")):
        scan = Scan.load(file).on(torch.device("cpu"))
        whole = tuple(slice(0, length) for length in scan.labels.shape)
        for organ in scan.organs:
            truth = scan.labels == organ
            scene = Scene(scan.grey, truth, scan.spacing, scan.looks, whole)
            rows.append(list(clicked(scene, weigh)))
            shown = " ".join(f"{overlap:.2f}" for overlap in rows[-1])
            print(f"  {file.stem} {organ}: {shown}", flush=True)
    return np.array(rows)


def weigher(weights: Path, readout: str) -> Weigh:
    network = CueNet()
    network.load_state_dict({k: value.float() for k, value in load_file(weights).items()})
    taught = Weigher(network.eval())
    hidden = [cue_names.NAMES.index(name) for name in WITHOUT[readout]]

    def weigh(cells: Cells, cues: torch.Tensor) -> torch.Tensor:
        del cells
        cues[hidden] = 0
        return taught(cues)

    return weigh


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--readout", choices=sorted(WITHOUT), default="auto")
    given = parser.parse_args()
    for weights in given.weights:
        for folder in sorted(path for path in given.folder.iterdir() if path.is_dir()):
            dice = curves(folder, weigher(weights, given.readout))
            first, fifth, tenth = dice.mean(0)[[0, 4, 9]]
            loss = (dice[:, :-1] - dice[:, 1:]).max()
            print(
                f"{weights.stem} {folder.name}: {first:.3f} / {fifth:.3f} / {tenth:.3f}, "
                f"area {dice.mean():.3f}, largest loss {loss:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
