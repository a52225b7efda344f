"""Check and time every device of this machine, and print a table of what was seen.

    python resources/device_check.py --encoder filters --encoder file:vit.safetensors

For each encoder and device: slices encoded a second, how many were found best to encode at
once, how alike tokens are to the CPU's, and what clicks on the spleen of a made-up CT take,
and find. The CPU comes last: it is what the others are compared with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.bench.clicks import next_click
from napari_dinomed.errors import EngineError
from napari_dinomed.features.device import choose_device
from napari_dinomed.headless import prepare
from napari_dinomed.settings import cache_folder
from napari_dinomed.volume.phantom import ct_abdomen

if TYPE_CHECKING:
    from napari_dinomed.headless import Job

_KINDS = ("cuda", "mps", "xpu", "cpu")
_SPLEEN = 3
_CLICKS = 6
# Slices that are encoded first, so that weights are read and the device is warm.
_WARMING = 16
# Tokens that are compared, drawn from the middle slice.
_COMPARED = 2000


@dataclass(frozen=True)
class Seen:
    """What one device made of one encoder."""

    device: str
    batch: str
    slices_a_second: float
    first: float
    later: float
    dice: float
    tokens: torch.Tensor

    def row(self, encoder: str, reference: Seen) -> str:
        alike = functional.cosine_similarity(self.tokens, reference.tokens, dim=1)
        cells = (
            encoder,
            self.device,
            self.batch,
            f"{self.slices_a_second:.1f}",
            f"{float(alike.mean()):.5f}",
            f"{1000 * self.first:.0f} ms",
            f"{1000 * self.later:.0f} ms",
            f"{self.dice:.3f}",
        )
        return "| " + " | ".join(cells) + " |"


def check(encoder: str, kind: str, shape: tuple[int, int, int]) -> Seen:
    """Encode a made-up CT on a device, and click on its spleen there."""
    before = batches()
    warming, _ = ct_abdomen((_WARMING, *shape[1:]))
    engine = prepare(warming, encoder, planes="one", device=kind).engine
    volume, organs = ct_abdomen(shape)
    begun = time.perf_counter()
    job = prepare(volume, encoder, planes="one", device=kind, engine=engine)
    taken = time.perf_counter() - begun
    (bank,) = job.banks
    tokens = bank.slice_tokens(bank.depth // 2)[:_COMPARED]
    first, *later, dice = clicked(job, organs == _SPLEEN)
    return Seen(
        job.encoded.device,
        ", ".join(size for of, size in batches().items() if of not in before) or "–",
        bank.depth / taken,
        first,
        float(np.median(later)),
        dice,
        tokens,
    )


def batches() -> dict[str, str]:
    """How many slices are encoded at once, by what it was settled for."""
    notes = (cache_folder() / "batch").glob("*")
    return {note.name: note.read_text(encoding="utf-8") for note in notes}


def clicked(job: Job, truth: np.ndarray) -> list[float]:
    """Seconds of each click, and the last answer's Dice."""
    label, prompts = new_label(1), Prompts()
    mask, said = np.zeros_like(truth), []
    for _ in range(_CLICKS):
        point = next_click(truth, mask, job.volume.geometry.spacing, label.id)
        if point is None:
            break
        prompts = prompts.plus(point)
        begun = time.perf_counter()
        mask = job.segment((label,), prompts) == label.id
        said.append(time.perf_counter() - begun)
    return [*said, 2 * (mask & truth).sum() / (mask.sum() + truth.sum())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", required=True)
    parser.add_argument("--shape", type=int, nargs=3, default=(64, 256, 256))
    given = parser.parse_args()
    # Tokens that a run before left behind must not be found again.
    home = tempfile.TemporaryDirectory()
    os.environ["NAPARI_DINOMED_HOME"] = home.name
    print("| encoder | device | at once | slices/s | cosine | first click | later | Dice |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for encoder in given.encoder:
        rows = []
        for kind in _KINDS:
            try:
                choose_device(kind)
            except EngineError as error:
                print(f"{kind}: skipped. {error}")
                continue
            rows.append(check(encoder, kind, tuple(given.shape)))
        for row in rows:
            print(row.row(encoder.split("/")[-1], rows[-1]), flush=True)


if __name__ == "__main__":
    main()
