"""Cases of a folder: the order, and the table of them all."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from napari_dinomed.errors import ReadError
from napari_dinomed.session.cases import add_case, next_case

ROWS = "label,name\n1,spleen\n2,liver\n"


def volume(path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)), path)


def test_the_next_is_a_volume_in_the_order_of_numbers(tmp_path):
    for name in ("case2", "case10", "case2-labels", "case3_seg", "case4"):
        volume(tmp_path / f"{name}.nii.gz")
    (tmp_path / "case2b.txt").write_text("no volume")
    volume(tmp_path / ".case3.nii.gz")
    found = [tmp_path / "case2.nii.gz"]
    while (following := next_case(found[-1])) is not None:
        found.append(following)
    assert [one.name for one in found] == ["case2.nii.gz", "case4.nii.gz", "case10.nii.gz"]


def test_the_table_has_each_case_once(tmp_path):
    table = tmp_path / "t.csv"
    add_case(table, "a", ROWS)
    add_case(table, "b, the second", ROWS)
    add_case(table, "a", "label,name\n1,spleen\n")
    assert table.read_text() == (
        'case,label,name\n"b, the second",1,spleen\n"b, the second",2,liver\na,1,spleen\n'
    )


def test_a_note_beside_a_case_stays(tmp_path):
    table = tmp_path / "t.csv"
    add_case(table, "a", "label,name\n1,spleen\n")
    table.write_text(table.read_text().replace("spleen", "spleen,seen by B"))
    add_case(table, "b", "label,name\n1,liver\n")
    assert table.read_text() == "case,label,name\na,1,spleen,seen by B\nb,1,liver\n"


def test_another_table_is_left_as_it_is(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("x,y\n1,2\n")
    with pytest.raises(ReadError, match="other columns"):
        add_case(table, "a", ROWS)
    assert table.read_text() == "x,y\n1,2\n"
