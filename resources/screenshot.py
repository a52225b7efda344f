"""Take the README's picture: the demo in a real window, after its first labels.

Run under a display, or ``xvfb-run -s "-screen 0 1600x1000x24 +extension GLX"``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

from napari_dinomed import demo

SECONDS = 120
SETTLE = 2.0


def main(kind: str, path: Path) -> None:
    viewer = napari.Viewer(title="napari-dinomed", show=True)
    viewer.window.resize(1440, 900)
    sample = demo.find_sample(kind)
    panel = demo.fill(viewer, sample)
    labelled: list[object] = []
    panel.workbench.labelled.connect(labelled.append)
    wait(lambda: bool(labelled), SECONDS)
    started = time.monotonic()
    wait(lambda: time.monotonic() - started > SETTLE, 2 * SETTLE)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    panel.shut_down()
    viewer.close()


def wait(until, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            sys.exit("The labels did not come in time.")
        QApplication.instance().processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
