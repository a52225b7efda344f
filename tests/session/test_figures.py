"""Figures follow the document, slice by slice, off the window's thread."""

from __future__ import annotations

import csv
import time
from dataclasses import replace

import cc3d
import numpy as np
import pytest

from napari_dinomed.annotation.arranging import merged, moved
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.mask import EMPTY, Mask
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.errors import DocumentError
from napari_dinomed.session.figures import Measuring
from napari_dinomed.session.statistics import statistics_csv
from napari_dinomed.session.things import count_things
from napari_dinomed.volume import Geometry, Volume

SHAPE = (4, 20, 24)


@pytest.fixture
def volume():
    array = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    return Volume(array, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), "mm"), "CT")


def painted(document, box, label):
    array = np.zeros(SHAPE, bool)
    array[box] = True
    return document.with_edit(Mask.of(array), label)


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_figures_are_those_of_the_voxels(volume):
    document = painted(Document.begun().with_new_label(), np.s_[1:3, 2:9, 3:20], 1)
    figures = Measuring(volume, lambda work: work()).measure(document)
    values = volume.array[1:3, 2:9, 3:20]
    assert figures[1].voxels == values.size
    assert figures[1].mean == pytest.approx(values.mean())
    assert figures[1].sd == pytest.approx(values.std())
    assert (figures[1].low, figures[1].high) == (values.min(), values.max())
    assert figures[2].voxels == 0
    assert np.isnan(figures[2].mean)


def test_only_slices_that_changed_are_measured_again(volume):
    read = []

    class Noted:
        shape, dtype = volume.array.shape, volume.array.dtype
        ndim, size = 3, volume.array.size

        def __getitem__(self, index):
            read.append(index[0])
            return volume.array[index]

    measuring = Measuring(replace(volume, array=Noted()), lambda work: work())
    document = painted(Document.begun(), np.s_[:, 2:9, 3:20], 1)
    measuring.measure(document)
    assert read == [0, 1, 2, 3]
    read.clear()
    document = painted(document, np.s_[2, 12:15, 3:5], 1)
    figures = measuring.measure(document)
    assert read == [2]
    there = np.zeros(SHAPE, bool)
    there[:, 2:9, 3:20] = there[2, 12:15, 3:5] = True
    assert figures[1].mean == pytest.approx(volume.array[there].mean())


def test_the_newest_document_is_what_is_told(volume):
    told = []
    measuring = Measuring(volume, lambda work: work())
    measuring.measured.connect(told.append)
    documents = [Document.begun()]
    for row in range(15):
        documents.append(painted(documents[-1], np.s_[:, row, 3:20], 1))
        measuring.follow(documents[-1])
    until(lambda: told and told[-1][1].voxels == 4 * 15 * 17)
    measuring.end()
    measuring.follow(documents[0])
    time.sleep(0.02)
    assert told[-1][1].voxels == 4 * 15 * 17


def test_statistics_are_a_line_for_each_label(volume):
    document = painted(Document.begun().with_new_label(), np.s_[0, 2:7, 0:10], 1)
    document = document.with_prompt(Point((0, 3, 3), 1))
    document = document.with_label(replace(document.find(1), name="liver, left"))
    figures = Measuring(volume, lambda work: work()).measure(document)
    lines = list(
        csv.DictReader(statistics_csv(document, figures, volume.geometry).splitlines())
    )
    assert [line["name"] for line in lines] == ["liver, left", "Label 2"]
    assert (lines[0]["voxels"], lines[0]["volume"], lines[0]["unit"]) == ("50", "0.1", "ml")
    assert (lines[0]["clicks"], lines[0]["strokes"]) == ("1", "0")
    assert float(lines[0]["mean"]) == pytest.approx(volume.array[0, 2:7, :10].mean(), 1e-4)
    assert lines[1]["mean"] == ""


def test_merged_labels_are_one_that_no_answer_takes_apart(volume):
    document = painted(Document.begun().with_new_label(), np.s_[0, 2:7, 0:10], 1)
    document = painted(document, np.s_[1, 2:7, 0:10], 2).with_prompt(Point((1, 3, 3), 2))
    one = merged(document, 2, into=1)
    assert [label.id for label in one.labels] == [1]
    assert one.mask(1).count == 100
    assert one.answered(1, Mask()).mask(1).count == 100
    assert not one.prompts
    with pytest.raises(DocumentError, match="two labels"):
        merged(document, 1, into=1)


def test_labels_move_in_the_list_and_not_out_of_it():
    document = Document.begun().with_new_label().with_new_label()
    order = [label.id for label in moved(document, 3, -1).labels]
    assert order == [1, 3, 2]
    assert moved(document, 3, 5) == document
    assert [label.id for label in moved(document, 3, -9).labels] == [3, 1, 2]


@pytest.mark.parametrize("at_once", [1, 300, 2_000, 10**9])
def test_things_are_counted_as_in_one_go(at_once):
    """Whatever slabs they are counted in, and however they wind through these."""
    random = np.random.default_rng(0)
    for share in (0.03, 0.1, 0.2, 0.4):
        area = random.random((17, 21, 23)) < share
        _, whole = cc3d.connected_components(area, connectivity=26, return_N=True)
        mask = Mask.of(area)
        assert count_things(mask, lambda: False, at_once) == whole


def test_counting_is_given_up_where_there_is_something_newer():
    assert count_things(Mask.of(np.ones((4, 5, 6), bool)), lambda: True) is None
    assert count_things(EMPTY, lambda: True) == 0
