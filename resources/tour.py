"""A user made of real mouse and key events, from an empty window to a saved file.

``sample OUT`` does the main job on the made-up CT, and writes ``tour.gif`` and the pictures
of *Get started* to a folder; ``more OUT`` seven further pictures. ``effort OUT.json CASE
DATA`` does the job on a real volume, and counts clicks, keys and seconds. Run under a
display, or
``xvfb-run -s "-screen 0 1600x1000x24 +extension GLX"``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import napari
import numpy as np
import psutil
from PIL import Image as Picture
from PIL import ImageDraw
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QWidget,
)

from napari_dinomed.bench.clicks import next_click
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine import process
from napari_dinomed.io import read_labels
from napari_dinomed.plugin.panel import Panel
from napari_dinomed.session.activity import Phase

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE = Qt.MouseButton.NoButton
SIZE = (1280, 800)
# Wide enough for the panel's text to be read, and 5 MB for the whole.
GIF_WIDTH = 960
COLOURS = 192
PATIENCE = 600


def wait(until: Any, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            sys.exit("What was waited for did not come.")
        QApplication.instance().processEvents()
        time.sleep(0.01)


def pause(seconds: float) -> None:
    began = time.monotonic()
    wait(lambda: time.monotonic() - began > seconds)


@dataclass(eq=False)
class User:
    """Does what a person would, counts it, and takes pictures meanwhile."""

    viewer: Any
    panel: Panel
    clicks: int = 0
    keys: int = 0
    notches: int = 0
    frames: list[tuple[Picture.Image, int]] = field(default_factory=list)
    is_filmed: bool = False

    @classmethod
    def begun(cls, is_filmed: bool = False) -> User:
        viewer = napari.Viewer(title="napari", show=True)
        viewer.window.resize(*SIZE)
        panel = Panel(viewer)
        viewer.window.add_dock_widget(panel, name="Segment by clicking (DINOMed)")
        pause(2)
        return cls(viewer, panel, is_filmed=is_filmed)

    @property
    def window(self) -> QWidget:
        return self.viewer.window._qt_window

    @property
    def canvas(self) -> QWidget:
        return self.viewer.window._qt_viewer.canvas.native

    def film(self, milliseconds: int, at: QPoint | None = None, name: str = "") -> None:
        """A picture of the window, with the pointer where it is said to be."""
        if not self.is_filmed:
            return
        pause(0.3)
        array = self.viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        picture = Picture.fromarray(np.ascontiguousarray(array))
        if at is not None:
            scale = picture.width / self.window.width()
            _draw_pointer(picture, at.x() * scale, at.y() * scale)
        self.frames.append((picture, milliseconds))
        if name:
            picture.quantize(192).save(name, optimize=True)

    def press(self, button: QWidget) -> None:
        place = button.mapTo(self.window, button.rect().center())
        self.film(700, place)
        self.clicks += 1
        QTest.mouseClick(button, LEFT)
        pause(0.2)

    def key(self, key: Qt.Key) -> None:
        self.keys += 1
        QTest.keyClick(self.canvas, key)
        pause(0.2)

    def name_label(self, name: str) -> None:
        """Type a name into the row of the label in use."""
        table = self.panel.labels_box.table
        table.setFocus()
        self.keys += 1
        QTest.keyClick(table, Qt.Key.Key_F2)
        editor = table.viewport().findChild(QLineEdit)
        self.type(editor, name)

    def type(self, line: QLineEdit, text: str) -> None:
        self.keys += len(text) + 1
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)
        pause(0.2)

    def with_dialog(self, button: QWidget, name: str = "") -> None:
        """Press what asks for a file; type a name, or take the one that is offered."""

        def answer() -> None:
            dialog = QApplication.instance().activeModalWidget()
            if not isinstance(dialog, QFileDialog):
                QTimer.singleShot(100, answer)
                return
            line = dialog.findChild(QLineEdit, "fileNameEdit")
            QTest.keyClicks(line, name)
            accept = dialog.findChild(QDialogButtonBox).buttons()[0]
            wait(accept.isEnabled)
            self.keys += len(name) + 1
            QTest.keyClick(line, Qt.Key.Key_Return)
            if dialog.isVisible():
                sys.exit("The dialog does not take the name.")

        QTimer.singleShot(300, answer)
        self.press(button)

    def go_to(self, voxel: tuple[int, ...]) -> None:
        """Turn the wheel until a voxel's slice is in view."""
        (axis,) = self.viewer.dims.not_displayed
        steps = voxel[axis] - self.viewer.dims.current_step[axis]
        for _ in range(abs(steps)):
            self._turn(-1 if steps > 0 else 1)
        self.notches += abs(steps)
        if self.viewer.dims.current_step[axis] != voxel[axis]:
            sys.exit("The wheel did not lead to the slice.")

    def _turn(self, notch: int) -> None:
        centre = self.canvas.rect().center()
        event = QWheelEvent(
            QPointF(centre),
            QPointF(self.canvas.mapToGlobal(centre)),
            QPoint(0, 0),
            QPoint(0, 120 * notch),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.canvas, event)

    def click(self, voxel: tuple[int, ...], button: Qt.MouseButton = LEFT) -> None:
        """A click on the canvas over a voxel, and its answer."""
        self.go_to(voxel)
        pause(0.3)
        place = self._place_of(voxel)
        QTest.mouseMove(self.canvas, place)
        self.film(700, self.canvas.mapTo(self.window, place))
        _mouse(QEvent.Type.MouseButtonPress, self.canvas, place, button, button)
        _mouse(QEvent.Type.MouseButtonRelease, self.canvas, place, button, NONE)
        self.clicks += 1
        self.settle()
        self.film(900, self.canvas.mapTo(self.window, place))

    def drag(self, voxels: list[tuple[int, ...]]) -> None:
        """The left button held from voxel to voxel of a slice, and the answer."""
        self.go_to(voxels[0])
        pause(0.3)
        first, *rest = (self._place_of(voxel) for voxel in voxels)
        _mouse(QEvent.Type.MouseMove, self.canvas, first, NONE, NONE)
        _mouse(QEvent.Type.MouseButtonPress, self.canvas, first, LEFT, LEFT)
        for place in rest:
            _mouse(QEvent.Type.MouseMove, self.canvas, place, NONE, LEFT)
        _mouse(QEvent.Type.MouseButtonRelease, self.canvas, rest[-1], LEFT, NONE)
        self.settle()

    def _place_of(self, voxel: tuple[int, ...]) -> QPoint:
        layer = self.panel.workbench.sheet.result.layer
        world = np.array(layer.data_to_world(voxel))[list(self.viewer.dims.displayed)]
        transform = self.viewer.window._qt_viewer.canvas.view.scene.transform
        x, y = transform.map([world[1], world[0]])[:2]
        return QPoint(round(x), round(y))

    def settle(self) -> None:
        def is_settled() -> bool:
            session = self.panel.workbench.session
            is_ready = session.computing.activity.phase is Phase.READY
            return is_ready and not session.document.waiting

        wait(is_settled)
        pause(0.3)

    def shown(self) -> Any:
        return np.asarray(self.panel.workbench.sheet.result.layer.data)

    def close(self) -> None:
        self.panel.shut_down()
        self.viewer.close()


def _mouse(kind: QEvent.Type, canvas: QWidget, at: QPoint, button: Any, held: Any) -> None:
    place, on_screen = QPointF(at), QPointF(canvas.mapToGlobal(at))
    nothing = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(kind, place, on_screen, button, held, nothing)
    QApplication.sendEvent(canvas, event)
    pause(0.05)


def _draw_pointer(picture: Picture.Image, x: float, y: float) -> None:
    shape = [(0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12)]
    points = [(x + dx * 1.4, y + dy * 1.4) for dx, dy in shape]
    ImageDraw.Draw(picture).polygon(points, fill="white", outline="black")


def write_gif(frames: list[tuple[Picture.Image, int]], path: Path) -> None:
    height = round(frames[0][0].height * GIF_WIDTH / frames[0][0].width)
    small = [f.resize((GIF_WIDTH, height), Picture.Resampling.LANCZOS) for f, _ in frames]
    # One palette for all: what does not change is then left out of a frame. All frames are
    # asked, so that a label's colour that comes late is in it.
    strip = Picture.fromarray(np.concatenate([np.asarray(f)[::4, ::4] for f in small]))
    palette = strip.quantize(COLOURS, Picture.Quantize.MAXCOVERAGE)
    flat = [f.quantize(palette=palette, dither=Picture.Dither.NONE) for f in small]
    flat[0].save(
        path,
        save_all=True,
        append_images=flat[1:],
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        optimize=True,
    )
    print(f"{path}: {len(frames)} frames, {path.stat().st_size / 1e6:.2f} MB")


def tour(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    user = User.begun(is_filmed=True)
    user.film(1200, name=str(out / "step-1.png"))
    user.press(user.panel.start_box.samples["ct"])
    wait(lambda: user.panel.workbench.session is not None)
    pause(1)
    user.film(900, name=str(out / "step-2.png"))
    user.name_label("liver")
    user.click((15, 55, 50))
    user.film(300, name=str(out / "step-3.png"))
    user.click((24, 52, 38))
    user.click((24, 74, 72), RIGHT)
    user.key(Qt.Key.Key_N)
    user.name_label("spleen")
    user.click((15, 74, 124))
    user.key(Qt.Key.Key_N)
    user.name_label("right kidney")
    user.click((27, 82, 54))
    user.click((31, 80, 57))
    user.film(900, name=str(out / "step-4.png"))
    user.key(Qt.Key.Key_F8)
    pause(1)
    user.film(2000)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        user.with_dialog(user.panel.result_box.save)
        wait(lambda: len(list(Path(folder).glob("labels*"))) == 2)
        user.film(2600, name=str(out / "step-5.png"))
    print(f"{user.clicks} clicks, {user.keys} keys, {user.notches} notches of the wheel")
    user.close()
    write_gif(user.frames, out / "tour.gif")


def more(out: Path) -> None:
    """Seven more pictures, of what comes after the first clicks."""
    out.mkdir(parents=True, exist_ok=True)
    user = User.begun(is_filmed=True)
    panel = user.panel
    user.press(panel.start_box.samples["ct"])
    wait(lambda: panel.workbench.session is not None)
    pause(1)

    def show(number: int) -> None:
        user.film(0, name=str(out / f"step-{number}.png"))

    user.name_label("right kidney")
    user.press(panel.prompts_box.box)
    user.drag([(27, 66, 40), (27, 80, 60), (27, 100, 76)])
    show(6)
    user.key(Qt.Key.Key_N)
    user.name_label("spleen")
    user.press(panel.prompts_box.scribbles)
    user.drag([(15, 68, 124), (15, 74, 124), (15, 80, 123)])
    show(7)
    user.key(Qt.Key.Key_N)
    user.name_label("liver")
    user.press(panel.prompts_box.points)
    user.click((15, 55, 50))
    user.key(Qt.Key.Key_Q)
    pause(2)
    show(8)
    user.click((24, 52, 38))
    user.press(panel.finish_box.fold)
    panel.finish_box.tools.setCurrentText("Smooth")
    user.press(panel.finish_box.preview)
    pause(2)
    show(9)
    user.press(panel.finish_box.apply)
    user.key(Qt.Key.Key_Return)
    user.key(Qt.Key.Key_O)
    pause(1)
    show(10)
    user.key(Qt.Key.Key_O)
    user.key(Qt.Key.Key_F9)
    pause(4)
    show(11)
    user.close()
    user = User.begun(is_filmed=True)
    user.press(user.panel.start_box.samples["em"])
    wait(lambda: user.panel.workbench.session is not None)
    pause(1)
    user.name_label("mitochondria")
    user.click((8, 88, 124))
    user.click((8, 126, 124))
    user.click((8, 190, 200), RIGHT)
    user.film(0, name=str(out / "step-12.png"))
    user.close()


@dataclass(frozen=True)
class Case:
    """A volume, what is sought in it, and when a user would be content."""

    image: str
    labels: str
    numbers: tuple[int, ...]
    clicks: int
    enough: float


CASES = {
    "spleen": Case(
        "ct_abdomen/example_ct_sm.nii.gz", "ct_abdomen/example_seg.nii.gz", (1,), 6, 0.85
    ),
    "tumour": Case(
        "mr_flair_tumour/Flair_subtrMeanDivStd.nii.gz",
        "mr_flair_tumour/OTMultiClass.nii.gz",
        (1, 2, 3, 4),
        6,
        0.85,
    ),
    "mitochondria": Case(
        "em_organelles/image.ome.tif", "em_organelles/labels.tif", (3,), 5, 0.7
    ),
    "membranes": Case("em_membrane/image.ome.tif", "em_membrane/labels.tif", (1,), 2, 0.7),
}


def effort(name: str, data: Path, out: Path) -> None:
    case = CASES[name]
    expert, _ = read_labels(data / case.labels)
    truth = np.isin(expert, case.numbers)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(shutil.copy(data / case.image, folder))
        user = User.begun()
        processor, began = _processor_seconds(), time.monotonic()
        os.chdir(folder)
        user.with_dialog(user.panel.start_box.files, image.name)
        wait(lambda: user.panel.workbench.session is not None)
        pause(0.5)
        reached = _clicked_until_enough(user, truth, case)
        before = set(Path(folder).iterdir())
        user.with_dialog(user.panel.result_box.save)
        wait(lambda: len(set(Path(folder).iterdir()) - before) >= 2)
        seconds = time.monotonic() - began
        row = {
            "case": name,
            "clicks": user.clicks,
            "keys": user.keys - len(image.name),
            "typed": len(image.name),
            "notches": user.notches,
            "seconds": round(seconds, 1),
            "processor": round(_processor_seconds() - processor, 1),
            "dice": [round(float(value), 3) for value in reached],
        }
        user.close()
    rows = json.loads(out.read_text()) if out.exists() else {}
    out.write_text(json.dumps(rows | {name: row}, indent=1) + "\n")
    print(row)


def _clicked_until_enough(user: User, truth: Any, case: Case) -> list[float]:
    """Dice after each click; a click goes where the mask is most wrong."""
    spacing = user.panel.workbench.session.volume.geometry.spacing
    reached: list[float] = []
    while len(reached) < case.clicks:
        mask = user.shown() == 1
        point = next_click(truth, mask, spacing)
        user.click(point.voxel, LEFT if point.include else RIGHT)
        reached.append(dice(truth, user.shown() == 1))
        print(len(reached), round(reached[-1], 3), flush=True)
        if reached[-1] >= case.enough:
            break
    return reached


def _processor_seconds() -> float:
    """Of this process and the engine's."""
    process = psutil.Process()
    own = process.cpu_times()
    total = own.user + own.system
    for child in process.children(recursive=True):
        times = child.cpu_times()
        total += times.user + times.system
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("sample")
    shown.add_argument("out", type=Path)
    continued = commands.add_parser("more")
    continued.add_argument("out", type=Path)
    counted = commands.add_parser("effort")
    counted.add_argument("out", type=Path)
    counted.add_argument("case", choices=CASES)
    counted.add_argument("data", type=Path)
    options = parser.parse_args()
    # A machine that is busy otherwise is no hang, and its message no part of the picture.
    process.SECONDS_AT_A_STEP = process.SECONDS_OF_SILENCE = PATIENCE
    with tempfile.TemporaryDirectory() as home:
        # What somebody did on the samples before is no part of it.
        os.environ["NAPARI_DINOMED_HOME"] = home
        if options.command == "sample":
            tour(options.out)
        elif options.command == "more":
            more(options.out)
        else:
            effort(options.case, options.data.resolve(), options.out.resolve())


if __name__ == "__main__":
    main()
