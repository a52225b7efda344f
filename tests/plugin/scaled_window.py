"""A window with the panel on a scaled screen: what is seen of it, and one click.

Run as a process of its own, whose screen and scale its environment says; prints JSON.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import napari
import numpy as np
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_dinomed.plugin.panel import Panel
from tests.conftest import ball
from tests.fakes import FakeEngine
from tests.plugin.test_first_start import SMALL, is_seen, used_most
from tests.plugin.test_window import click_on, shown

VOXEL = (7, 20, 30)


def until(is_so) -> None:
    """Run the window's loop until something is so, or half a minute has passed."""
    for _ in range(600):
        if is_so():
            return
        QTest.qWait(50)


def main() -> None:
    viewer = napari.Viewer()
    panel = Panel(viewer, FakeEngine())
    viewer.window.add_dock_widget(panel, area="right")
    viewer.window.resize(*SMALL)
    array = np.random.default_rng(0).normal(20, 4, (16, 48, 56))
    viewer.add_image(array + 80 * ball(array.shape, (8, 24, 30), 9, (3.0, 0.7, 0.7)))
    until(lambda: panel.workbench.session is not None)
    QTest.qWait(300)
    window = viewer.window._qt_window
    buttons = [one for one in panel.findChildren(QPushButton) if one.isVisible()]
    click_on(
        SimpleNamespace(wait=QTest.qWait), viewer, panel.workbench.sheet.result.layer, VOXEL
    )
    until(lambda: np.count_nonzero(shown(panel)) > 1)
    size = window.screen().size()
    said = {
        "ratio": window.devicePixelRatioF(),
        "screen": [size.width(), size.height()],
        "window": [window.width(), window.height()],
        "least width": window.minimumSizeHint().width(),
        "unseen": [
            one.accessibleName() for one in used_most(panel) if not is_seen(panel, one)
        ],
        "buttons": len(buttons),
        "cut": [
            one.text()
            for one in buttons
            if one.fontMetrics().horizontalAdvance(one.text()) > one.width()
        ],
        "clicked": [one.voxel for one in panel.workbench.session.document.prompts.points],
        "answered": int((shown(panel) > 0).sum()),
    }
    print(json.dumps(said))
    panel.shut_down()
    viewer.close()


if __name__ == "__main__":
    main()
