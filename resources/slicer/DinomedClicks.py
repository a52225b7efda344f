"""3D Slicer: place points, get the segment (experimental).

A scripted module. Points of one list lie inside of what is sought, those of another
outside; napari-dinomed's engine, in an environment of its own, makes the segment.
"""

from __future__ import annotations

import numpy as np
import qt
import slicer
import vtk
from dinomed_pipe import Engine, EngineError
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)

COMMAND = "DinomedClicks/command"
USUAL_COMMAND = "napari-dinomed engine --plain"
ENCODER = "filters"
# Left, posterior, inferior: what slices look like that the engine's readers hand over.
TOWARDS = (-1, -1, -1)


class DinomedClicks(ScriptedLoadableModule):
    """What 3D Slicer lists."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Segment by clicking (DINOMed)"
        parent.categories = ["Segmentation"]
        parent.contributors = ["napari-dinomed developers"]
        parent.helpText = (
            "Experimental. Put points inside of what you seek, and others outside where "
            "the segment is too large. Not a medical device."
        )
        parent.acknowledgementText = "https://github.com/napari-dinomed/napari-dinomed"


class DinomedClicksWidget(ScriptedLoadableModuleWidget):
    """The module's panel."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = DinomedClicksLogic()
        form = qt.QFormLayout()
        self.layout.addLayout(form)
        self.volume = self._chooser(form, "Volume", "vtkMRMLScalarVolumeNode")
        self.inside = self._chooser(form, "Points inside", "vtkMRMLMarkupsFiducialNode")
        self.outside = self._chooser(form, "Points outside", "vtkMRMLMarkupsFiducialNode")
        self.segmentation = self._chooser(form, "Segmentation", "vtkMRMLSegmentationNode")
        settings = qt.QSettings()
        self.command = qt.QLineEdit(settings.value(COMMAND, USUAL_COMMAND))
        form.addRow("Engine", self.command)
        self.button = qt.QPushButton("Segment")
        self.button.connect("clicked()", self.segment)
        self.layout.addWidget(self.button)
        self.layout.addStretch(1)

    def _chooser(self, form, title, kind):
        chooser = slicer.qMRMLNodeComboBox()
        chooser.nodeTypes = [kind]
        chooser.addEnabled = chooser.noneEnabled = kind != "vtkMRMLScalarVolumeNode"
        chooser.setMRMLScene(slicer.mrmlScene)
        form.addRow(title, chooser)
        return chooser

    def segment(self):
        """Ask, and show the answer; what fails is said."""
        qt.QSettings().setValue(COMMAND, self.command.text)
        with slicer.util.tryWithErrorDisplay("No segment was made.", waitCursor=True):
            self.logic.segment(
                self.volume.currentNode(),
                self.inside.currentNode(),
                self.outside.currentNode(),
                self.segmentation.currentNode(),
                self.command.text,
            )

    def cleanup(self):
        self.logic.close()


class DinomedClicksLogic(ScriptedLoadableModuleLogic):
    """Points to a segment. The engine stays, so that the next answer comes at once."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._engine = None
        self._started = self._encoded = None

    def segment(self, volume, inside, outside, segmentation, command=USUAL_COMMAND):
        """Set the first segment to what the points mean; its name and colour stay."""
        if volume is None or inside is None or segmentation is None:
            raise EngineError("Choose a volume, a list of points inside, a segmentation.")
        grid = Grid.of(volume)
        prompts = [
            {"voxel": voxel, "label": 1, "include": include}
            for points, include in ((inside, True), (outside, False))
            for voxel in grid.voxels(_positions(points))
        ]
        labels = self._answer(volume, grid, prompts, command)
        segments = segmentation.GetSegmentation()
        if not segments.GetNumberOfSegments():
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
            segments.AddEmptySegment("", "Object")
        segment = segments.GetNthSegmentID(0)
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            labels, segmentation, segment, volume
        )

    def close(self):
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._started = self._encoded = None

    def _answer(self, volume, grid, prompts, command):
        """The segment (k, j, i), one where it is."""
        self._have_engine(command)
        try:
            self._have_features(volume, grid)
            label = {"id": 1, "name": "Object", "color": [0.9, 0.6, 0.0]}
            body = {
                "volume": "slicer",
                "prompts": {"all": prompts},
                "labels": [label | {"meaning": "object"}],
                "preview": False,
            }
            _, found, arrays = self._engine.ask("SegmentVolume", body)
        except EngineError:
            self.close()
            raise
        whole = np.zeros(grid.shape, np.uint8)
        box = zip(found["start"], arrays["labels"].shape)
        whole[tuple(slice(first, first + n) for first, n in box)] = arrays["labels"]
        return grid.as_stored(whole)

    def _have_engine(self, command):
        if self._started != command:
            self.close()
            environment = slicer.util.startupEnvironment()
            self._engine = Engine(command, environment, slicer.app.processEvents)
            self._started = command

    def _have_features(self, volume, grid):
        """Hand over what is seen, once; other voxels or grey values are seen anew."""
        array = grid.as_seen(slicer.util.arrayFromVolume(volume))
        display = volume.GetDisplayNode()
        low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
        seen = (volume.GetID(), volume.GetImageData().GetMTime(), low, high)
        if seen == self._encoded:
            return
        opened = {"volume": "slicer", "geometry": grid.geometry(), "modality": "CT"}
        if array.min() >= 0:
            opened["modality"] = "MR"
        self._engine.ask("OpenVolume", opened, voxels=array)
        window = {"low": low, "high": high, "name": "slicer"}
        body = {"volume": "slicer", "encoder": ENCODER, "window": window}
        self._engine.ask("EncodeVolume", body, self._tell)
        self._encoded = seen

    def _tell(self, kind, body):
        if kind == "Progress" and body["total"]:
            done, total = body["done"], body["total"]
            slicer.util.showStatusMessage(f"Features: {done} of {total}", 2000)
        elif kind == "Notice":
            slicer.util.showStatusMessage(body["text"], 5000)


class Grid:
    """Between Slicer's array (k, j, i) and the engine's (z, y, x), upright as it sees it.

    Parameters
    ----------
    shape
        Of Slicer's array.
    to_world
        (4, 4): from (k, j, i) to right, anterior, superior.
    """

    def __init__(self, shape, to_world):
        directions = to_world[:3, :3]
        # Rows z, y, x of the engine: along superior, anterior and right.
        self.axes = _nearest_axes(directions)
        signs = [np.sign(directions[2 - n, axis]) for n, axis in enumerate(self.axes)]
        self.flips = [sign != way for sign, way in zip(signs, TOWARDS)]
        self.shape = tuple(shape[axis] for axis in self.axes)
        matrix = np.eye(4)
        for n, axis in enumerate(self.axes):
            matrix[:3, n] = directions[:, axis] * (-1 if self.flips[n] else 1)
        first = [0, 0, 0]
        for n, axis in enumerate(self.axes):
            first[axis] = shape[axis] - 1 if self.flips[n] else 0
        matrix[:3, 3] = to_world[:3, :3] @ first + to_world[:3, 3]
        self.matrix = matrix

    @classmethod
    def of(cls, volume):
        """The grid of a volume node."""
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        rows = [[matrix.GetElement(r, c) for c in range(4)] for r in range(4)]
        to_world = np.array(rows)[:, [2, 1, 0, 3]]
        return cls(slicer.util.arrayFromVolume(volume).shape, to_world)

    def geometry(self):
        """As a message has it."""
        return {
            "shape": self.shape,
            "affine": self.matrix.tolist(),
            "unit": "mm",
            "patient": True,
            "file_axes": [0, 1, 2],
            "flips": [False] * 3,
        }

    def voxels(self, positions):
        """The voxels (z, y, x) nearest to positions in the world, of those inside."""
        inverse = np.linalg.inv(self.matrix)
        found = [inverse[:3, :3] @ place + inverse[:3, 3] for place in positions]
        indices = [[int(n) for n in np.rint(place)] for place in found]
        return [
            index
            for index in indices
            if all(0 <= n < length for n, length in zip(index, self.shape))
        ]

    def as_seen(self, array):
        """Slicer's array, as the engine sees it."""
        turned = np.transpose(array, self.axes)
        return np.flip(turned, [n for n in range(3) if self.flips[n]])

    def as_stored(self, array):
        """The inverse of `as_seen`."""
        turned = np.flip(array, [n for n in range(3) if self.flips[n]])
        return np.ascontiguousarray(np.transpose(turned, np.argsort(self.axes)))


def _nearest_axes(directions):
    """Which of (k, j, i) runs most along superior, anterior and right: each once."""
    left, axes = [0, 1, 2], []
    unit = np.abs(directions / np.linalg.norm(directions, axis=0))
    for world in (2, 1, 0):
        axes.append(max(left, key=lambda axis: unit[world, axis]))
        left.remove(axes[-1])
    return axes


def _positions(points):
    if points is None:
        return []
    places = []
    for number in range(points.GetNumberOfControlPoints()):
        place = [0.0, 0.0, 0.0]
        points.GetNthControlPointPositionWorld(number, place)
        places.append(place)
    return places
