"""Tables as spreadsheets, pandas and people leave them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.errors import ReadError
from napari_dinomed.whole.table import read_table, truths_of


def _read(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return read_table(path)


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "n/a", "<NA>", "null"])
def test_a_cell_that_says_it_is_not_known_is_not_known(tmp_path, cell):
    rows = _read(tmp_path, f"volume,ill,site\na,{cell},{cell}\nb,0,north\nc,1,south\n")
    truths = truths_of(rows)
    assert list(truths) == ["ill", "site=north", "site=south"]
    for truth in truths.values():
        assert np.isnan(truth[0])
        assert not np.isnan(truth[1:]).any()


@pytest.mark.parametrize("cell", ["0.5", "perhaps", "-1"])
def test_a_column_of_0_and_1_has_nothing_else(tmp_path, cell):
    rows = _read(tmp_path, f"volume,ill\na,0\nb,{cell}\nc,1\n")
    with pytest.raises(ReadError, match=rf"'ill', got '{cell}' for .*b\."):
        truths_of(rows)


def test_whole_numbers_are_classes(tmp_path):
    truths = truths_of(_read(tmp_path, "volume,grade\na,1\nb,2\nc,0\n"))
    assert list(truths) == ["grade=0", "grade=1", "grade=2"]


def test_a_table_without_a_label_teaches_nothing(tmp_path):
    with pytest.raises(ReadError, match="a column for each label"):
        truths_of(_read(tmp_path, "volume,patient\na,1\n"))


def test_what_a_spreadsheet_leaves_beside_and_below_is_nothing(tmp_path):
    rows = _read(tmp_path, "volume, ill ,,\na,1,,\n,,,\n\n  , \nb,0\n")
    assert [row.volume.name for row in rows] == ["a", "b"]
    assert [dict(row.said) for row in rows] == [{"ill": "1"}, {"ill": "0"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("volume,ill\na,1\n,0\n", "Expected a volume in line 3"),
        ("volume,ill\na,1,yes\n", "a name for each column, 'yes' has none: line 2"),
        ("volume,,ill\na,yes,1\n", "a name for each column, 'yes' has none: line 2"),
        ("volume,ill,ill\na,1,0\n", "2 columns 'ill'"),
        ("volume,ill\na,1\nb,0\n./a,0\n", "each volume once .* in lines 2 and 4"),
        ("volume,roi,ill\na,r,1\nb,,0\n", "for every volume .* got none in line 3"),
    ],
)
def test_a_row_that_is_not_what_the_columns_promise_is_refused(tmp_path, text, said):
    with pytest.raises(ReadError, match=said):
        _read(tmp_path, text)


def test_regions_of_one_slide_are_not_one_volume_twice(tmp_path):
    text = 'volume,region,ill\na,"0,0,8,8",1\na,"0,8,8,8",0\n'
    assert len(_read(tmp_path, text)) == 2
