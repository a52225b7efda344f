from __future__ import annotations

import base64
import json
import struct
import time
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.making import Answer, Change, Features, Made
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.annotation.prompts import Point, Stroke
from napari_dinomed.errors import ReadError
from napari_dinomed.session.file import (
    MOST_PROMPTS,
    SavedDocument,
    journal_of,
    load_document,
    save_document,
)
from napari_dinomed.session.steps import ordinal
from napari_dinomed.volume import Geometry, Window

SHAPE = (6, 20, 30)


def filled() -> Document:
    area = np.zeros(SHAPE, bool)
    area[2:4, 3:9, 5:25] = True
    document = Document.begun().with_prompt(Point((2, 4, 6), 1)).answered(1, Mask.of(area))
    document = document.with_new_label().with_prompt(Stroke(Mask.of(area[:3]), 2))
    return document.with_erasure(Mask.of(area[:, ::2]), 2)


def saved(document=None, shape=SHAPE) -> SavedDocument:
    geometry = Geometry.from_spacing(shape, (3.0, 1.0, 1.0), "mm")
    return SavedDocument("hash", geometry, Window(0, 1), "signature", document or filled())


ANSWER = Answer(1, Features("filters", 0.0, 130.0))


def _unseen(high: float):
    """What says that an answer was read from grey values that cannot be."""
    features = {"encoder": "filters", "low": 0.0, "high": high, "planes": "auto"}
    return {"kind": "answer", "label": 1, "features": features}


def test_there_and_back(tmp_path):
    path = tmp_path / "a.dinomed.json"
    save_document(path, saved())
    assert load_document(path) == saved()


def test_names_that_no_file_can_hold_are_kept_without_that(tmp_path):
    path = tmp_path / "a.dinomed.json"
    document = filled()
    named = replace(document.labels[0], name="liver\ud800 left\nlobe\t")
    save_document(path, saved(document.with_label(named)))
    assert load_document(path).document.labels[0].name == "liver  left lobe"


@pytest.mark.parametrize("until", [False, "0", 1.0, None, -9, 10**30])
def test_where_it_was_made_is_nonsense(tmp_path, until):
    path = tmp_path / "a.dinomed.json"
    save_document(path, saved())
    values = json.loads(path.read_text())
    del values["made"]
    path.write_text(json.dumps(values | {"made_until": until}))
    assert load_document(path).document == saved().document
    assert len(load_document(path).made) == 0


@pytest.mark.parametrize("where", ["document", "made", "journal"])
def test_a_mask_of_more_than_the_volume_is_not_unpacked(tmp_path, where):
    """Half a megabyte that says that it is four gigabytes."""
    path = tmp_path / "a.dinomed.json"
    bits = zlib.compress(bytes(2**26), 9)
    bomb = base64.b64encode(struct.pack("<6I", 0, 0, 0, 2**14, 2**15, len(bits)) + bits)
    save_document(path, saved())
    values = json.loads(path.read_text())
    hand = {"added": bomb.decode(), "removed": ""}
    deed = json.dumps({"kind": "change", "name": "x", "hand": hand})
    if where == "document":
        values["document"]["hand"] = bomb.decode()
    elif where == "made":
        values["made"] = [json.loads(deed)]
    else:
        del values["made"]
        values["made_until"] = 0
        journal_of(path).write_text(f'{{"after":-1,"deed":{deed}}}\n')
    path.write_text(json.dumps(values))
    tracemalloc.start()
    try:
        if where == "journal":
            assert len(load_document(path).made) == 0
        else:
            with pytest.raises(ReadError, match="voxels up to"):
                load_document(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_how_it_was_made_comes_back(tmp_path):
    made = Made.of([Change.between(Document.begun(), filled(), "fill"), ANSWER])
    path = tmp_path / "a.dinomed.json"
    save_document(path, replace(saved(), made=made))
    assert list(load_document(path).made) == list(made)
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda v: v.pop("geometry"), "damaged"),
        (lambda v: v.update(version=99), "newer version"),
        (lambda v: v["document"]["labels"].clear(), "contradicts|damaged"),
        (lambda v: v["document"]["labels"].pop(), "does not have"),
        (lambda v: v["document"]["prompts"]["all"][0].update(voxel=[99, 0, 0]), "outside"),
        (lambda v: v["document"]["prompts"]["all"][0].update(label=0), "damaged"),
        (lambda v: v["document"]["masks"].update({"1": "AAAA"}), "damaged"),
        (lambda v: v["document"]["masks"].update({"1": "?"}), "damaged"),
        (None, "same voxels"),
        (lambda v: v["window"].update(low=float("nan")), "no number"),
        (lambda v: v["made"].append(_unseen(float("inf"))), "damaged"),
        (
            lambda v: v["document"]["prompts"]["all"].extend(
                [{"voxel": [0, 0, 0], "label": 1, "include": True}] * 1_000_000
            ),
            "1,000,00",
        ),
    ],
    ids=[
        "part missing",
        "newer",
        "no label",
        "unknown label",
        "outside",
        "label 0",
        "cut mask",
        "no mask",
        "overlap",
        "no window",
        "no grey value",
        "a million prompts",
    ],
)
def test_documents_that_are_not_taken(tmp_path, damage, said):
    path = tmp_path / "s.dinomed.json"
    save_document(path, saved())
    values = json.loads(path.read_text())
    if damage is None:
        document = filled().with_edit(Mask.of_voxels(np.array([[2, 3, 5]])), 2)
        save_document(path, saved(document))
        values = json.loads(path.read_text())
        values["document"]["masks"]["1"] = values["document"]["masks"]["2"]
    else:
        damage(values)
    path.write_text(json.dumps(values))
    with pytest.raises(ReadError, match=said) as error:
        load_document(path)
    assert "\n" not in str(error.value)
    assert "s.dinomed.json" in str(error.value)


def test_labels_on_another_grid(tmp_path):
    path = tmp_path / "s.dinomed.json"
    save_document(path, saved(shape=(6, 20, 10)))
    with pytest.raises(ReadError, match="another grid"):
        load_document(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "{}", "\x00"])
def test_what_is_no_document(tmp_path, text):
    path = tmp_path / "s.dinomed.json"
    path.write_text(text)
    with pytest.raises(ReadError, match="not a document"):
        load_document(path)


def test_a_document_that_is_not_there(tmp_path):
    with pytest.raises(ReadError, match="Cannot read"):
        load_document(tmp_path / "none.dinomed.json")


def test_as_many_prompts_as_anyone_makes(tmp_path):
    path = tmp_path / "s.dinomed.json"
    document = Document.begun()
    prompts = tuple(Point((n % 6, n // 6 % 20, n % 30), 1) for n in range(MOST_PROMPTS))
    document = document.with_prompts(type(document.prompts)(prompts))
    save_document(path, saved(document))
    assert len(load_document(path).document.prompts.points) == MOST_PROMPTS


def test_a_painted_slice_costs_little(tmp_path):
    """A whole slice of 2048 by 2048: a change and its file, in time and in bytes."""
    path = tmp_path / "s.dinomed.json"
    disc = np.hypot(*np.ogrid[-1024:1024, -1024:1024]) < 1000
    document = Document.begun()
    seconds = []
    for index in range(4):
        begun = time.process_time()
        document = document.with_prompt(Stroke(Mask.of(disc[None], (index, 0, 0)), 1))
        save_document(path, saved(document, (6, 2048, 2048)))
        seconds.append(time.process_time() - begun)
    assert path.stat().st_size / 4 < 100_000
    # Ten times what was seen alone on two cores: noise must not fail it.
    assert min(seconds) < 0.2


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")],
)
def test_ordinals(number, said):
    assert ordinal(number) == said
