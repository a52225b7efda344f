"""Legends: presets, and lists of other programs, as labels of a document."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.labels import Meaning, legend_of
from napari_dinomed.annotation.legends import PRESETS, labels_from, preset, with_legend
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.errors import DocumentError, ReadError, WriteError
from napari_dinomed.io.legend_file import read_legend, write_legend
from napari_dinomed.volume import NamedLabel

LEGEND = (
    NamedLabel(2, "left kidney", (1.0, 0.0, 0.2)),
    NamedLabel(7, "mine, “one”", (0.0, 0.4, 0.6)),
)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fills_a_blank_document(name):
    document = with_legend(Document.begun(), preset(name))
    assert [one.id for one in document.labels] == list(range(1, len(document.labels) + 1))
    assert len({one.name for one in document.labels}) == len(document.labels) >= 3
    assert len({one.color for one in document.labels}) == len(document.labels)
    assert document.next_id == len(document.labels) + 1


def test_no_two_labels_look_the_same_after_a_preset():
    document = Document.begun().with_prompt(Point((0, 0, 0), 1)).with_new_label()
    document = with_legend(document, preset("Abdomen"))
    assert len({one.color for one in document.labels}) == len(document.labels)


def test_organelles_are_all_alike():
    assert {one.meaning for one in preset("EM organelles")} == {Meaning.ALL_LIKE_THIS}


def test_a_preset_leaves_what_was_made_and_adds_what_is_missing():
    document = Document.begun().with_prompt(Point((0, 0, 0), 1))
    document = document.with_edit(Mask.of(np.ones((1, 2, 2), bool)), 1)
    once = with_legend(document, preset("Brain tumour"))
    assert once.labels[0].name == "Label 1"
    assert once.masks == document.masks
    assert len(once.labels) == 4
    twice = with_legend(once, preset("Brain tumour"))
    assert twice.labels == once.labels


def test_numbers_of_a_file_are_kept_where_nothing_is_there_yet():
    document = with_legend(Document.begun(), labels_from(LEGEND, Meaning.OBJECT))
    assert [one.id for one in document.labels] == [2, 7]
    assert document.next_id == 8


def test_two_of_one_name_are_refused():
    twice = (LEGEND[0], NamedLabel(3, "left kidney", (0, 0, 0)))
    with pytest.raises(DocumentError, match="each with a name of its own"):
        with_legend(Document.begun(), labels_from(twice, Meaning.OBJECT))


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_what_is_written_is_read_again(tmp_path, suffix):
    path = tmp_path / f"legend{suffix}"
    write_legend(path, LEGEND)
    read = read_legend(path)
    assert [(one.id, one.name) for one in read] == [(one.id, one.name) for one in LEGEND]
    for one, other in zip(read, LEGEND, strict=True):
        np.testing.assert_allclose(one.color, other.color, atol=1 / 255)


def test_the_table_has_codes_of_what_is_known(tmp_path):
    write_legend(tmp_path / "l.csv", legend_of(preset("Abdomen")) + LEGEND[1:])
    with (tmp_path / "l.csv").open(encoding="utf-8") as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    kidney = rows["left kidney"]
    assert (kidney["Type_CodingScheme"], kidney["Type_CodeValue"]) == ("SCT", "64033007")
    assert kidney["TypeModifier_CodeMeaning"] == "Left"
    coded = [row for row in rows.values() if row["Type_CodeMeaning"] != "Tissue"]
    assert len(coded) == len(preset("Abdomen"))


def test_what_itk_snap_writes_is_read(tmp_path):
    path = tmp_path / "snap.txt"
    path.write_text(
        "################\n# ITK-SnAP Label Description File\n################\n"
        '    0     0    0    0        0  0  0    "Clear Label"\n'
        '    3   255   51    0      0.5  1  1    "right lung"\n',
        encoding="utf-8",
    )
    assert read_legend(path) == (NamedLabel(3, "right lung", (1.0, 0.2, 0.0)),)


@pytest.mark.parametrize(
    "text", ["", "hello", "LabelValue,Name\n1,a\n", '1 999 0 0 1 1 1 "a"', "\x00\xff"]
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "other.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ReadError, match=r"other\.txt"):
        read_legend(path)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(WriteError, match="Expected a legend to end in"):
        write_legend(tmp_path / "legend.xml", LEGEND)
