"""The demo: the whole job on a made-up volume, with or without a window."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import Label, Meaning, new_label
from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.errors import DinomedError
from napari_dinomed.volume import Volume, phantom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinomed.engine.messages import Event


@dataclass(frozen=True, eq=False)
class Sample:
    """A made-up volume, its truth, and a few prompts that a user might place.

    Parameters
    ----------
    name
        For the layer.
    volume
        The volume.
    truth
        (z, y, x): label ids, 0 elsewhere.
    labels, prompts
        What the user might have said.
    """

    name: str
    volume: Volume
    truth: NDArray[np.uint8]
    labels: tuple[Label, ...]
    prompts: Prompts

    @property
    def document(self) -> Document:
        """The same as a document, all labels to be answered."""
        next_id = max(label.id for label in self.labels) + 1
        return reduce(
            Document.with_prompt, self.prompts.all, Document(self.labels, next_id=next_id)
        )


def find_sample(kind: str) -> Sample:
    """The sample called ``ct`` or ``em``.

    Raises
    ------
    DinomedError
        Where there is none of that name.
    """
    if kind not in _SAMPLES:
        raise DinomedError(f"Expected the sample ct or em, got {kind!r}.")
    return _SAMPLES[kind]()


def why_no_window() -> str | None:
    """Why no window can be shown here, or None.

    Raises
    ------
    DinomedError
        Where there is a display but no Qt to draw on it.
    """
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display"
    if not any(importlib.util.find_spec(name) for name in ("PyQt6", "PySide6")):
        raise DinomedError(
            "Expected a Qt binding for the window, but neither PyQt6 nor PySide6 is "
            "installed. Run: pip install 'napari-dinomed[all]' (or use --headless)."
        )
    return None


def show(sample: Sample) -> None:
    """Open napari on the sample with the panel docked and labels on the way."""
    import napari

    viewer = napari.Viewer(title="napari-dinomed demo")
    fill(viewer, sample)
    napari.run()


def fill(viewer: Any, sample: Sample) -> Any:
    """Put the sample, the panel and the prompts into a viewer; return the panel."""
    from napari_dinomed.plugin import Panel
    from napari_dinomed.plugin.layers import image_options

    viewer.add_image(sample.volume.array, **image_options(sample.volume, sample.name))
    viewer.dims.set_current_step(0, sample.prompts.points[0].voxel[0])
    panel = Panel(viewer)
    viewer.window.add_dock_widget(panel, name="Segment by clicking", area="right")
    session = panel.workbench.session
    if session is not None and session.document.is_blank:
        session.change(sample.document, "the demo's clicks")
    return panel


def write(
    sample: Sample, folder: Path, on_event: Callable[[Event], None]
) -> dict[str, Any]:
    """Do the job without a window: labels, overlay and report into a folder.

    Raises
    ------
    WriteError
        Where the folder cannot be written.
    """
    from napari_dinomed import headless
    from napari_dinomed.bench.metrics import dice
    from napari_dinomed.errors import WriteError
    from napari_dinomed.io import write_labels
    from napari_dinomed.io.atomic import write_text
    from napari_dinomed.report import measure, overlay_picture, write_picture

    begun = time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    job = headless.prepare(sample.volume, "filters", on_event=on_event)
    labels = job.segment(sample.labels, sample.prompts)
    overlay = overlay_picture(sample.volume, job.window, labels, sample.labels)
    write_labels(folder / "labels.nii.gz", labels, sample.volume)
    write_picture(folder / "overlay.png", overlay)
    report = {
        "sample": sample.name,
        "grid": str(sample.volume.geometry),
        "encoder": job.encoded.encoder,
        "device": job.encoded.device,
        "prompts": len(sample.prompts.points),
        "labels": [
            row | {"dice": dice(sample.truth == row["label"], labels == row["label"])}
            for row in measure(sample.volume, labels, sample.labels)
        ],
        "seconds": round(time.perf_counter() - begun, 2),
    }
    write_text(folder / "report.json", json.dumps(report, indent=1))
    return report


def _ct() -> Sample:
    volume, organs = phantom.ct_abdomen()
    names = ("liver", "spleen", "right kidney")
    numbers = {organ.name: number for number, organ in enumerate(phantom.ORGANS, start=1)}
    truth = organs * 0
    labels: tuple[Label, ...] = ()
    for number, name in enumerate(names, start=1):
        truth[organs == numbers[name]] = number
        made = new_label(number, Meaning.OBJECT)
        labels = (*labels, Label(number, name, made.color, made.meaning))
    points = (
        Point((15, 55, 50), 1),
        Point((24, 52, 38), 1),
        Point((15, 74, 124), 2),
        Point((11, 70, 127), 2),
        Point((27, 82, 54), 3),
        Point((31, 80, 57), 3),
        Point((14, 43, 99), 1, include=False),
        Point((27, 110, 80), 1, include=False),
    )
    return Sample("CT phantom", volume, truth, labels, Prompts(points))


def _em() -> Sample:
    volume, truth = phantom.em_stack()
    made = new_label(1, Meaning.ALL_LIKE_THIS)
    label = Label(1, "mitochondria", made.color, made.meaning)
    points = (
        Point((8, 88, 124), 1),
        Point((8, 126, 124), 1),
        Point((8, 193, 95), 1),
        Point((8, 190, 200), 1, include=False),
        Point((8, 140, 90), 1, include=False),
        Point((8, 40, 158), 1, include=False),
    )
    return Sample("EM phantom", volume, truth, (label,), Prompts(points))


_SAMPLES: dict[str, Callable[[], Sample]] = {"ct": _ct, "em": _em}
