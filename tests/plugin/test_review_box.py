"""Review: the worst first; accept, correct, reject; corrections are saved and taught."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_dinomed.annotation.labels import legend_of, new_label
from napari_dinomed.io import read_labels, read_volume, write_labels
from napari_dinomed.plugin import review_box
from napari_dinomed.plugin.files import get_reader
from napari_dinomed.plugin.keymap import KEYMAP, Action
from napari_dinomed.plugin.review_box import ReviewBox
from napari_dinomed.plugin.workbench import Workbench
from napari_dinomed.review import Case, Queue, Review, Verdict
from napari_dinomed.session.models import Models


@pytest.fixture
def results(tmp_path):
    """Two volumes that were labelled, one of them badly."""
    cases = []
    for seed, light in ((0, "green"), (1, "red")):
        grey = np.random.default_rng(seed).integers(0, 200, (20, 18, 12), np.uint8)
        place = tmp_path / f"{seed}.nii.gz"
        nib.save(nib.Nifti1Image(grey, np.diag([1.0, 1.0, 2.0, 1.0])), place)
        volume = read_volume(place)
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[4:9, 6:12, 7:14] = 1
        name = f"{seed}_labels.nii.gz"
        write_labels(tmp_path / name, labels, volume, legend_of((new_label(1),)))
        cases.append(Case(f"t{seed}", str(place), name, light, 0.5, f"reason {seed}"))
    Queue(str(tmp_path / "m.dinomed"), tuple(cases)).write(tmp_path)
    return tmp_path


@pytest.fixture
def reviewing(qtbot, engine, loop, results, monkeypatch):
    """A box that has taken up a review, its workbench, and what was said."""
    lessons = []

    def remember(_, path, labels, taught):
        lessons.append((path.name, workbench.session.document.masks))
        taught()

    monkeypatch.setattr(Models, "remember", remember)

    def opened(workbench, paths, then):
        (options,) = get_reader(paths[0])(paths[0])
        layer = Image(options[0], **options[1])
        workbench.viewer.layers.append(layer)
        workbench.bind(layer)
        then()

    # Without a window, napari does not know the plugin's readers.
    monkeypatch.setattr(review_box, "open_paths", opened)
    monkeypatch.setattr(review_box, "encoder_of", lambda path: "filters")
    workbench = Workbench(ViewerModel(), engine, loop.deliver)
    box, said = ReviewBox(workbench), []
    qtbot.addWidget(box)
    workbench.refused.connect(said.append)
    box.take_up(results)
    loop.run()
    yield box, workbench, said, lessons
    assert not said
    workbench.close()


def _press(workbench, action, loop):
    workbench.viewer.keymap[_bound(workbench, action)](workbench.viewer)
    loop.run()


def _bound(workbench, action):
    (key,) = KEYMAP[action].keys
    return next(one for one in workbench.viewer.keymap if str(one) == key)


def test_what_is_right_is_accepted_by_a_key_and_the_next_comes(reviewing, loop, results):
    box, workbench, _, lessons = reviewing
    assert "1.nii.gz" in box.about.text()
    assert "red: reason 1" in box.about.text()
    assert workbench.session.document.masks
    _press(workbench, Action.ACCEPT, loop)
    assert "0.nii.gz" in box.about.text()
    assert len(workbench.images) == 1
    _press(workbench, Action.REJECT, loop)
    assert "Nothing is left to look at: 1 accepted, 0 corrected, 1 rejected" in (
        box.about.text()
    )
    assert not workbench.images
    assert not lessons
    assert not Review.open(results).waiting


@pytest.mark.parametrize("action", [Action.ACCEPT, Action.REJECT])
def test_no_file_is_opened_before_the_key_is_over(reviewing, loop, action):
    """While one is read the window runs, and more keys come."""
    box, workbench, _, _ = reviewing
    workbench.viewer.keymap[_bound(workbench, action)](workbench.viewer)
    assert "1.nii.gz" in box.about.text()
    loop.run()
    assert "0.nii.gz" in box.about.text()


def test_a_correction_is_saved_and_taught(reviewing, loop, results, brush):
    box, workbench, _, lessons = reviewing
    before, _ = read_labels(results / "1_labels.nii.gz")
    brush(workbench, ((0, 3), (0, 6), (0, 6)), 1)
    _press(workbench, Action.ACCEPT, loop)
    after, _ = read_labels(results / "1_labels.nii.gz")
    assert after.sum() > before.sum()
    assert lessons[0][0] == "m.dinomed"
    review = Review.open(results)
    assert review.count(Verdict.CORRECTED) == 1
    assert [case.task for case in review.waiting] == ["t0"]
    assert "0.nii.gz" in box.about.text()


def test_later_goes_on_and_comes_back(reviewing, loop):
    box, _, _, _ = reviewing
    box.later.click()
    loop.run()
    assert "0.nii.gz" in box.about.text()
    box.later.click()
    loop.run()
    assert "1.nii.gz" in box.about.text()


def test_what_was_accepted_does_not_hide_what_comes_later(reviewing, loop, results):
    box, workbench, _, _ = reviewing
    _press(workbench, Action.ACCEPT, loop)
    volume = read_volume(results / "1.nii.gz")
    other = np.zeros(volume.array.shape, np.uint8)
    other[:4] = 1
    legend = legend_of((new_label(1),))
    write_labels(results / "1_labels.nii.gz", other, volume, legend)
    case = Case("new", str(results / "1.nii.gz"), "1_labels.nii.gz", "red", 0.9, "")
    Queue(str(results / "m.dinomed"), (case,)).write(results)
    box.take_up(results)
    loop.run()
    np.testing.assert_array_equal(workbench.result(), other)


@pytest.mark.parametrize("has_other", [False, True])
def test_what_is_not_the_cases_is_not_accepted_for_it(
    qtbot, engine, loop, results, monkeypatch, brush, image, has_other
):
    """A key that comes before a case is open, or where another image was chosen."""
    waiting = []
    monkeypatch.setattr(
        review_box, "open_paths", lambda bench, paths, then: waiting.append((paths, then))
    )
    before = {path: path.read_bytes() for path in results.glob("*_labels.nii.gz")}
    workbench = Workbench(ViewerModel(), engine, loop.deliver)
    box, said = ReviewBox(workbench), []
    qtbot.addWidget(box)
    workbench.refused.connect(said.append)
    box.take_up(results)
    ((paths, then),) = waiting
    (options,) = get_reader(paths[0])(paths[0])
    workbench.viewer.layers.append(Image(options[0], **options[1]))
    workbench.bind(workbench.images[0])
    if has_other:
        then()
        workbench.viewer.layers.append(image)
        workbench.bind(image)
        brush(workbench, ((0, 3), (0, 6), (0, 6)), 1)
    _press(workbench, Action.ACCEPT, loop)
    assert said == [
        "1.nii.gz is not worked on now: wait until it is open, or choose it under Image."
    ]
    workbench.exchange._writer.submit(lambda: None).result()
    assert {path: path.read_bytes() for path in before} == before
    assert len(Review.open(results).waiting) == 2
    workbench.close()


@pytest.mark.parametrize("key", [Action.REJECT, Action.ACCEPT, None])
def test_a_key_that_is_hit_twice_judges_one_case(
    qtbot, engine, loop, results, monkeypatch, key
):
    """The next one is not on the screen yet; None stands for 'Later'."""

    def opened(workbench, paths, then):
        (options,) = get_reader(paths[0])(paths[0])
        layer = Image(options[0], **options[1])
        workbench.viewer.layers.append(layer)
        workbench.begin_with(layer, then)

    monkeypatch.setattr(review_box, "open_paths", opened)
    workbench = Workbench(ViewerModel(), engine, loop.deliver)
    box, said = ReviewBox(workbench), []
    qtbot.addWidget(box)
    workbench.refused.connect(said.append)
    box.take_up(results)
    loop.run()
    for _ in range(2):
        if key is None:
            box.later.click()
        else:
            workbench.viewer.keymap[_bound(workbench, key)](workbench.viewer)
    loop.run()
    assert "0.nii.gz" in box.about.text()
    assert len(said) == 1
    assert said[0].startswith("0.nii.gz is ")
    assert len(workbench.images) == 1
    assert len(Review.open(results).waiting) == (2 if key is None else 1)
    workbench.close()
