"""Take the documentation's pictures in a real window.

``demo ct OUT.png`` is the demo after its first labels; ``files A B C --out OUT.png`` is
each file as it opens, side by side. Run under a display, or
``xvfb-run -s "-screen 0 1600x1000x24 +extension GLX"``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import imageio.v3 as imageio
import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_dinomed import demo

SECONDS = 120
SETTLE = 2.0


def take_demo(kind: str, path: Path) -> None:
    viewer = napari.Viewer(title="napari-dinomed", show=True)
    viewer.window.resize(1440, 900)
    sample = demo.find_sample(kind)
    panel = demo.fill(viewer, sample)
    session = panel.workbench.session
    wait(lambda: bool(session.document.masks and not session.document.waiting), SECONDS)
    settle()
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    panel.shut_down()
    viewer.close()


def take_files(files: list[str], path: Path) -> None:
    pictures = []
    for file in files:
        viewer = napari.Viewer(show=True)
        viewer.window.resize(900, 900)
        viewer.open(file, plugin="napari-dinomed")
        settle()
        viewer.reset_view()
        settle()
        pictures.append(viewer.screenshot(size=(520, 480), flash=False)[..., :3])
        viewer.close()
    imageio.imwrite(path, np.concatenate(pictures, axis=1))


def settle() -> None:
    started = time.monotonic()
    wait(lambda: time.monotonic() - started > SETTLE, 2 * SETTLE)


def wait(until, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            sys.exit("The labels did not come in time.")
        QApplication.instance().processEvents()
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("demo")
    shown.add_argument("kind", choices=["ct", "em"])
    shown.add_argument("out", type=Path)
    opened = commands.add_parser("files")
    opened.add_argument("files", nargs="+")
    opened.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "demo":
        take_demo(options.kind, options.out)
    else:
        take_files(options.files, options.out)


if __name__ == "__main__":
    main()
