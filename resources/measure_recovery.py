"""Kill the engine again and again, and see how soon a click is answered all the same.

    python resources/measure_recovery.py --encoder filters --encoder file:vit.safetensors

On a made-up CT of clinical size. Each engine is killed in a pause, at the moment at which a
click is made; between two kills there is time for the next spare engine, as where a user
looks at an answer. With ``--no-spare`` there is none.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.annotation.prompts import Prompts
from napari_dinomed.bench.clicks import next_click
from napari_dinomed.bench.large import large_ct
from napari_dinomed.engine.client import EngineClient
from napari_dinomed.engine.messages import EncodeVolume, OpenVolume, SegmentVolume
from napari_dinomed.volume import Window

if TYPE_CHECKING:
    from napari_dinomed.volume import Volume

_WINDOW = Window(-160.0, 240.0)
# Seconds between two kills: a spare engine reads its libraries in five.
_PAUSE = 12


def seconds_to_an_answer(
    volume: Volume, truth: np.ndarray, encoder: str, kills: int, has_spare: bool
) -> tuple[float, list[float]]:
    """What the first click takes, and what it takes when its engine is killed."""
    label = new_label(1)
    point = next_click(truth, np.zeros_like(truth), volume.geometry.spacing, label.id)
    assert point is not None
    asked = SegmentVolume(
        "v", Prompts((point,)), (label,), view_index=point.voxel[0], encoding=1
    )
    client = EngineClient(has_spare=has_spare)
    try:
        opening = OpenVolume("v", volume.array, volume.geometry, volume.modality)
        for request in (opening, EncodeVolume("v", encoder, _WINDOW, generation=1)):
            client.submit(request).future.result()
        begun = time.perf_counter()
        expected = client.submit(asked).future.result()
        alive, seconds = time.perf_counter() - begun, []
        for _ in range(kills):
            time.sleep(_PAUSE)
            os.kill(client.process_id, signal.SIGKILL)
            killed = time.perf_counter()
            found = client.submit(asked).future.result()
            seconds.append(time.perf_counter() - killed)
            np.testing.assert_array_equal(found.labels, expected.labels)
    finally:
        client.close()
    return alive, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", action="append", required=True)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 512, 512))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--spare", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    volume, truth = large_ct(tuple(given.shape))
    print("| encoder | first click | after a kill, median | at most |")
    print("|---|---|---|---|", flush=True)
    for encoder in given.encoder:
        alive, seconds = seconds_to_an_answer(
            volume, truth, encoder, given.kills, given.spare
        )
        row = (
            encoder.split("/")[-1],
            f"{alive:.1f} s",
            f"{np.median(seconds):.1f} s",
            f"{max(seconds):.1f} s",
        )
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
