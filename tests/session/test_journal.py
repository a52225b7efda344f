"""How a document was made, appended to as it goes on: nothing is written twice or lost."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.making import NOTHING, Change, Made
from napari_dinomed.annotation.prompts import Point
from napari_dinomed.errors import WriteError
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.file import SavedDocument, journal_of, load_document
from napari_dinomed.session.journal import Journal
from napari_dinomed.volume import Geometry, Window

SHAPE = (6, 20, 30)


def steps(count, first=0):
    """Deeds of so many clicks."""
    document = Document.begun()
    for number in range(first, first + count):
        after = document.with_prompt(Point((0, number % 20, number % 30), 1))
        yield Change.between(document, after, f"click {number}")
        document = after


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.dinomed.jsonl"


def names(made):
    return [deed.name for deed in made]


def test_it_is_read_as_it_was_appended(path):
    journal, made = Journal(path), NOTHING
    for deed in steps(5):
        made = made.then(deed)
        place = journal.append(made)
    assert list(Journal(path).read(place, SHAPE)) == list(made) == list(steps(5))


def test_nothing_is_written_twice(path):
    journal, made = Journal(path), Made.of(steps(300))
    place = journal.append(made)
    size = path.stat().st_size
    assert journal.append(made) == place
    assert path.stat().st_size == size
    later = Journal(path)
    read = later.read(place, SHAPE)
    later.append(read.then(*steps(1, 300)))
    # A step is as long as another, however many were before.
    assert path.stat().st_size - size < 2 * size / 300


def test_steps_back_go_on_from_where_they_lead(path):
    """As undo does: the file has both ways, and each document its own."""
    journal, deeds = Journal(path), list(steps(6))
    common = Made.of(deeds[:3])
    one, two = common.then(*deeds[3:]), common.then(deeds[5])
    places = [journal.append(one), journal.append(two), journal.append(common)]
    for place, made in zip(places, (one, two, common), strict=True):
        assert list(Journal(path).read(place, SHAPE)) == list(made)


def test_any_number_of_ways(path):
    random = np.random.default_rng(0)
    journal, known, deeds = Journal(path), [(NOTHING, -1)], list(steps(200))
    for deed in deeds:
        made = known[random.integers(len(known))][0].then(deed)
        if random.random() < 0.2:
            journal = Journal(path)  # The program was begun anew, and reads one of them.
            made = journal.read(known[random.integers(len(known))][1], SHAPE).then(deed)
        known.append((made, journal.append(made)))
    for made, place in known:
        assert names(Journal(path).read(place, SHAPE)) == names(made)


def test_what_a_kill_cut_short_is_passed_over(path):
    """Cut anywhere in the last line: what was pointed at before is there, and goes on."""
    deeds = list(steps(4))
    made = Made.of(deeds[:2])
    place = Journal(path).append(made)
    whole = path.read_bytes()
    Journal(path).append(made.then(deeds[2]))
    longer = path.read_bytes()[len(whole) :]
    for cut in range(0, len(longer), 7):
        path.write_bytes(whole + longer[:cut])
        journal = Journal(path)
        read = journal.read(place, SHAPE)
        assert names(read) == names(made)
        after = journal.append(read.then(deeds[3]))
        assert names(Journal(path).read(after, SHAPE)) == ["click 0", "click 1", "click 3"]


def test_one_that_was_removed_is_written_again(path):
    journal, deeds = Journal(path), list(steps(3))
    made = Made.of(deeds[:2])
    journal.append(made)
    path.unlink()
    made = made.then(deeds[2])
    assert names(Journal(path).read(journal.append(made), SHAPE)) == names(made)


def test_lines_in_lines_are_none(path):
    """A small file in which every deed holds the next would take all memory."""
    line = b'{"after":-1,"deed":1}'
    begins = 0
    for _ in range(2000):
        line = b'{"after":%d,"deed":' % begins + line + b"}"
    path.write_bytes(line + b"\n")
    assert Journal(path).read(19, SHAPE) is NOTHING


@pytest.mark.parametrize("place", [1, 10**6, -7])
def test_a_place_where_no_line_begins(path, place):
    Journal(path).append(Made.of(steps(3)))
    assert Journal(path).read(place, SHAPE) is NOTHING


@pytest.mark.parametrize(
    "text",
    [
        b'{"after":0,"deed":{"kind":"answer"}}\n',
        b'{"after":-1,"deed":{"kind":"theft"}}\n',
        b'{"after":-1,"deed":\xff}\n',
        b'{"after":x,"deed":{}}\n',
        b"\n",
        b"",
    ],
)
def test_damage_is_nothing(path, text):
    path.write_bytes(text)
    assert Journal(path).read(0, SHAPE) is NOTHING


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    assert Journal(path).read(0, SHAPE) is NOTHING


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_written_to(path):
    os.mkfifo(path)
    with pytest.raises(WriteError, match="Cannot write"):
        Journal(path).append(Made.of(steps(1)))


def test_another_file_in_its_place_is_not_gone_on_with(path):
    """A longer one too: where lines begin there says nothing of this one's."""
    journal, deeds = Journal(path), list(steps(12))
    made = Made.of(deeds[:3])
    journal.append(made)
    # Written into the same place on the disk, as a file made anew may be.
    path.write_bytes(b"")
    place = Journal(path).append(Made.of(deeds[2:]))
    made = made.then(deeds[3])
    assert names(Journal(path).read(journal.append(made), SHAPE)) == names(made)
    assert len(Journal(path).read(place, SHAPE)) == 10


def test_no_leave_to_write_is_said(path):
    path.mkdir()
    with pytest.raises(WriteError, match="Cannot write"):
        Journal(path).append(Made.of(steps(1)))


@pytest.fixture
def kept(ball_volume, tmp_path):
    volume = ball_volume[0]
    image = tmp_path / "scan.nii"
    autosave = Autosave(volume.fingerprint, image, is_beside=True)
    geometry = Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0), "mm")
    document = SavedDocument(
        volume.fingerprint, geometry, Window(0, 1), "", Document.begun()
    )
    return autosave, document


def test_a_save_costs_the_same_however_much_was_done(kept):
    autosave, document = kept
    made = Made.of(steps(2000))
    autosave.write(replace(document, made=made))
    assert autosave.path.stat().st_size < 3000
    size = journal_of(autosave.path).stat().st_size
    autosave.write(replace(document, made=made.then(*steps(1))))
    assert 0 < journal_of(autosave.path).stat().st_size - size < 1000
    assert len(load_document(autosave.path).made) == 2001
    assert len(autosave.read().made) == 2001


def test_what_is_set_aside_takes_its_making_along(kept):
    autosave, document = kept
    autosave.write(replace(document, made=Made.of(steps(3))))
    aside = autosave.set_aside()
    autosave.write(replace(document, made=Made.of(steps(5))))
    assert len(load_document(aside).made) == 3
    assert len(load_document(autosave.path).made) == 5


def test_nothing_that_was_set_aside_before_is_written_over(kept):
    autosave, document = kept
    autosave.write(replace(document, made=Made.of(steps(3))))
    first = autosave.set_aside()
    first.unlink()
    autosave.write(replace(document, made=Made.of(steps(5))))
    second = autosave.set_aside()
    assert second != first
    assert len(load_document(second).made) == 5


def test_a_journal_that_cannot_be_written_costs_nothing(kept):
    autosave, document = kept
    journal_of(autosave.path).mkdir()
    made = Made.of(steps(3))
    autosave.write(replace(document, made=made))
    assert list(autosave.read().made) == list(made)


def test_a_document_without_its_journal_is_whole(kept):
    autosave, document = kept
    autosave.write(replace(document, made=Made.of(steps(3))))
    journal_of(autosave.path).unlink()
    read = load_document(autosave.path)
    assert read.document == document.document
    assert read.made is NOTHING
