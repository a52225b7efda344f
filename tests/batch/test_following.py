"""How far a run is: said in a line, once a minute in a log, as bars in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from napari_dinomed.cli import following as module
from napari_dinomed.cli.following import Count, Pace, following
from napari_dinomed.engine.messages import Progress, Stage


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        (Pace("volumes", 9), "0 of 9 volumes"),
        (Pace("volumes", 9, 3, seconds=0.6), "3 of 9 volumes, 5/s, about 1 s left"),
        (
            Pace("volumes", 300, 12, 2, seconds=1200),
            "12 of 300 volumes, 2 failed, 36/h, about 8.0 h left",
        ),
        (Pace("blocks", 40, 40, seconds=60, before=20), "40 of 40 blocks, 20/min"),
        (
            Pace("volumes", 3, 3, seconds=3, workers=(("0", 1), ("1", 2))),
            "3 of 3 volumes, 1/s, worker 0: 1; worker 1: 2",
        ),
        (
            Pace(
                "volumes", 45, 45, seconds=45, workers=tuple((str(n), n) for n in range(10))
            ),
            "45 of 45 volumes, 1/s, 10 workers: 0 to 9 each",
        ),
    ],
)
def test_a_pace_in_a_line(pace, said):
    assert str(pace) == said


def test_volumes_are_counted_by_who_did_them():
    count = Count("volumes", 3)
    for worker, failed in (("b", False), ("a", True), ("b", False)):
        count.one(worker, failed)
    pace = count.pace
    assert (pace.done, pace.total, pace.failed) == (3, 3, 1)
    assert pace.workers == (("a", 1), ("b", 2))
    assert pace.seconds > 0


def test_a_log_has_a_line_a_minute_and_one_at_the_end(monkeypatch):
    told, now = io.StringIO(), [0.0]
    monkeypatch.setattr(module, "errors", Console(file=told))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with following() as follower:
        for done in range(5):
            follower.tell(Pace("volumes", 4, done))
            now[0] += 25
            follower.on_event(Progress(done, 9, Stage.SLICES))
    lines = told.getvalue().splitlines()
    assert [line[0] for line in lines] == ["0", "2", "4"]


def test_a_terminal_has_a_bar_of_all_and_one_of_the_volume(monkeypatch):
    told = io.StringIO()
    console = Console(file=told, force_terminal=True, width=120, _environ={"TERM": "xterm"})
    monkeypatch.setattr(module, "errors", console)
    with following() as follower:
        follower.tell(Pace("volumes", 4, 1))
        follower.on_event(Progress(3, 9, Stage.SLICES))
    assert "1 of 4 volumes" in told.getvalue()
    assert "━" in told.getvalue()
