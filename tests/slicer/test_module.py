"""3D Slicer's module with a stand-in for Slicer's own classes, and the real engine."""

from __future__ import annotations

import importlib
import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from napari_dinomed.annotation.prompts import Point, Prompts
from napari_dinomed.bench.metrics import dice
from napari_dinomed.engine.messages import CloseVolume, Envelope, SegmentVolume
from napari_dinomed.engine.wire import receive, send

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "slicer"
COMMAND = f"{sys.executable} -m napari_dinomed engine --plain"


class Matrix:
    """vtkMatrix4x4."""

    def GetElement(self, row, column):  # noqa: N802 - Slicer's names, here and below
        return self.values[row, column]


class Node:
    """A volume, a list of points or a segmentation, as far as the module knows them."""

    def __init__(self, array=None, to_ras=None, points=()):
        self.array, self.to_ras, self.points = array, to_ras, points
        self.segments = {}

    def GetID(self):  # noqa: N802
        return "node"

    def GetImageData(self):  # noqa: N802
        return types.SimpleNamespace(GetMTime=lambda: 1)

    def GetDisplayNode(self):  # noqa: N802
        low, high = float(self.array.min()), float(self.array.max())
        return types.SimpleNamespace(
            GetWindowLevelMin=lambda: low, GetWindowLevelMax=lambda: high
        )

    def GetIJKToRASMatrix(self, matrix):  # noqa: N802
        matrix.values = self.to_ras

    def GetNumberOfControlPoints(self):  # noqa: N802
        return len(self.points)

    def GetNthControlPointPositionWorld(self, number, place):  # noqa: N802
        place[:] = self.points[number]

    def GetSegmentation(self):  # noqa: N802
        return self

    def SetReferenceImageGeometryParameterFromVolumeNode(self, volume):  # noqa: N802
        self.reference = volume

    def GetNumberOfSegments(self):  # noqa: N802
        return len(self.segments)

    def AddEmptySegment(self, key, name):  # noqa: N802
        self.segments[name] = None

    def GetNthSegmentID(self, number):  # noqa: N802
        return list(self.segments)[number]


@pytest.fixture
def module(monkeypatch):
    """The module, imported as Slicer would."""
    slicer = types.ModuleType("slicer")
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    for name in ("", "Logic", "Widget"):
        base = type(f"Base{name}", (), {"__init__": lambda self, parent=None: None})
        setattr(scripted, f"ScriptedLoadableModule{name}", base)

    def update(array, segmentation, segment, volume):
        assert array.shape == volume.array.shape
        segmentation.segments[segment] = array

    slicer.app = types.SimpleNamespace(processEvents=lambda: None)
    slicer.util = types.SimpleNamespace(
        arrayFromVolume=lambda node: node.array,
        updateSegmentBinaryLabelmapFromArray=update,
        startupEnvironment=lambda: None,
        showStatusMessage=lambda text, milliseconds: None,
    )
    vtk = types.ModuleType("vtk")
    vtk.vtkMatrix4x4 = Matrix
    made = {"slicer": slicer, "vtk": vtk, "qt": types.ModuleType("qt")}
    for name, each in (made | {"slicer.ScriptedLoadableModule": scripted}).items():
        monkeypatch.setitem(sys.modules, name, each)
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("DinomedClicks", "dinomed_pipe"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("DinomedClicks")


# Slicer's index (i, j, k) to right, anterior, superior: as most CTs, and turned.
USUAL = np.array([[-0.7, 0, 0, 20], [0, -0.7, 0, 15], [0, 0, 3.0, -24], [0, 0, 0, 1]])
SAGITTAL = np.array([[0, 0, 3.0, -24], [0.7, 0, 0, -20], [0, -0.7, 0, 15], [0, 0, 0, 1]])


def in_world(to_ras, voxel):
    k, j, i = voxel
    return (to_ras @ (i, j, k, 1))[:3]


def test_points_to_a_segment(module, ball_volume):
    volume, mask = ball_volume
    node, segmentation = Node(volume.array, USUAL), Node()
    inside = Node(points=[in_world(USUAL, (8, 24, 30))])
    outside = Node(points=[in_world(USUAL, (2, 4, 4)), (900, 0, 0)])
    logic = module.DinomedClicksLogic()
    try:
        logic.segment(node, inside, outside, segmentation, COMMAND)
        assert dice(mask, segmentation.segments["Object"] == 1) > 0.85
        assert segmentation.reference is node
        # A second answer needs no features: the volume is not handed over again.
        logic._engine.ask = lambda kind, *a, ask=logic._engine.ask, **b: (
            ask(kind, *a, **b) if kind == "SegmentVolume" else pytest.fail(kind)
        )
        inside.points = [in_world(USUAL, (2, 4, 4))]
        outside.points = [in_world(USUAL, (8, 24, 30))]
        logic.segment(node, inside, outside, segmentation, COMMAND)
        assert segmentation.segments["Object"][2, 4, 4] == 1
        assert segmentation.segments["Object"][8, 24, 30] == 0
        with pytest.raises(module.EngineError, match="includes something"):
            logic.segment(node, Node(), outside, segmentation, COMMAND)
    finally:
        logic.close()


@pytest.mark.parametrize("to_ras", [USUAL, SAGITTAL], ids=["usual", "sagittal"])
def test_voxels_are_where_slicer_has_them(module, to_ras):
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    grid = module.Grid.of(Node(array, to_ras))
    np.testing.assert_array_equal(grid.as_stored(grid.as_seen(array)), array)
    for voxel in ((0, 0, 0), (1, 2, 3), (3, 4, 5)):
        (seen,) = grid.voxels([in_world(to_ras, voxel)])
        assert grid.as_seen(array)[tuple(seen)] == array[voxel]
    # Upright, the way the engine's readers hand over a patient: head, front, right first.
    steps = grid.matrix[:3, :3]
    assert (np.diag(steps[::-1]) < 0).all()


def test_the_same_wire_as_the_engines(module):
    """What one writes the other reads, both ways."""
    pipe, stream = sys.modules["dinomed_pipe"], io.BytesIO()
    prompts = {"all": [{"voxel": [1, 2, 3], "label": 1, "include": False}]}
    label = {"id": 1, "name": "Object", "color": [0.9, 0.6, 0.0], "meaning": "object"}
    body = {"volume": "a", "prompts": prompts, "labels": [label], "preview": False}
    pipe.send(stream, 7, "SegmentVolume", body)
    stream.seek(0)
    envelope = receive(stream)
    assert envelope.request == 7
    assert isinstance(envelope.message, SegmentVolume)
    assert envelope.message.prompts == Prompts((Point((1, 2, 3), 1, include=False),))
    stream = io.BytesIO()
    send(stream, Envelope(3, CloseVolume("a")))
    stream.seek(0)
    assert pipe.receive(stream) == (3, "CloseVolume", {"volume": "a"}, {})
    assert pipe.receive(stream) is None


def test_what_cannot_start_and_what_dies_is_said(module):
    pipe = sys.modules["dinomed_pipe"]
    with pytest.raises(pipe.EngineError, match="Cannot start"):
        pipe.Engine("no-such-program engine")
    dying = pipe.Engine(f"{sys.executable} -c pass")
    with pytest.raises(pipe.EngineError, match="has ended"):
        dying.ask("Describe", {})
    babbling = pipe.Engine(f"{sys.executable} -c \"print('hello there')\"")
    with pytest.raises(pipe.EngineError, match=r"cannot begin|ended"):
        babbling.ask("Describe", {})
