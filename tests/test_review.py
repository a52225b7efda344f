"""What is to be looked at of a folder of results: the worst first, each once."""

from __future__ import annotations

import pytest

from napari_dinomed.errors import ReadError
from napari_dinomed.review import SAID, Case, Queue, Review, Verdict


def _case(task, light, doubt):
    return Case(task, f"/scans/{task}.nii.gz", f"{task}_labels.nii.gz", light, doubt, "why")


@pytest.fixture
def folder(tmp_path):
    cases = (
        _case("fine", "green", 0.1),
        _case("odd", "yellow", 0.4),
        _case("bad", "red", 0.7),
        _case("worst", "red", 1.0),
    )
    Queue("/models/m.dinomed", cases).write(tmp_path)
    return tmp_path


def test_the_worst_comes_first_and_each_once(folder):
    review = Review.open(folder)
    assert [case.task for case in review.waiting] == ["worst", "bad", "odd", "fine"]
    review = review.decided(review.waiting[0], Verdict.REJECTED)
    review = review.decided(review.waiting[1], Verdict.CORRECTED)
    again = Review.open(folder)
    assert [case.task for case in again.waiting] == ["bad", "fine"]
    assert [again.count(one) for one in Verdict] == [0, 1, 1]


def test_a_torn_line_loses_no_other(folder):
    review = Review.open(folder)
    with (folder / SAID).open("a") as file:
        file.write('{"task": "fi')
    review.decided(review.waiting[0], Verdict.ACCEPTED)
    assert [case.task for case in Review.open(folder).waiting] == ["bad", "odd", "fine"]


def test_labelled_anew_it_is_looked_at_anew(folder):
    review = Review.open(folder)
    review.decided(review.waiting[0], Verdict.ACCEPTED)
    Queue("/models/m.dinomed", (_case("worst again", "red", 0.9),)).write(folder)
    assert [case.task for case in Review.open(folder).waiting] == ["worst again"]


def test_a_folder_without_a_queue_is_refused(tmp_path):
    with pytest.raises(ReadError, match=r"review\.json in it, which 'apply' writes"):
        Review.open(tmp_path)
