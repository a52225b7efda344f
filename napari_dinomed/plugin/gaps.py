"""How long a window does not listen: the gaps of a timer that should come every 10 ms.

In: acts on a window, one after another. Out: the gaps during each, and what the window's
thread was doing in the long ones.
"""

from __future__ import annotations

import faulthandler
import re
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, QTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

_PERIOD_MS = 10
# Seconds from which a gap is looked into: a user sees it, and the goal for p99.
LONG = 0.05
# Seconds between looks at what is being done in a long gap.
_LOOK = 0.01
# As `faulthandler` writes a line of code.
_CALL = re.compile(r'  File "(.+)", line (\d+) in (.+)')


@dataclass
class Act:
    """What was heard during one act.

    Parameters
    ----------
    name
        Of the act.
    gaps
        Seconds from each time the timer came to the next.
    own
        Of each gap, seconds that the window's thread computed; the rest it waited, as for
        a disk, another thread, or a processor that other programs use.
    blame
        Places in the code, by the number of looks that found them in a long gap.
    """

    name: str
    gaps: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    blame: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Quantiles in milliseconds, ready for JSON."""
        figures: dict[str, Any] = {"act": self.name, "seconds": round(sum(self.gaps), 2)}
        for name, values in (("gap", self.gaps), ("own", self.own)):
            millis = 1000 * np.array(values or [0.0])
            figures[f"{name} p99 ms"] = round(float(np.quantile(millis, 0.99)), 1)
            figures[f"{name} max ms"] = round(float(millis.max()), 1)
        return figures | {"blame": self.blame.most_common(5)}


class Gaps(QObject):
    """Measures gaps on the thread that it is made on.

    Parameters
    ----------
    parent
        What it ends with.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._act: Act | None = None
        self._last = self._computed = 0.0
        self._thread = threading.get_ident()
        self._is_over = threading.Event()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(_PERIOD_MS)
        self._timer.timeout.connect(self._tick)
        self._looker = threading.Thread(target=self._look, name="looker", daemon=True)
        self._looker.start()

    @contextmanager
    def during(self, name: str) -> Iterator[Act]:
        """Measure while an act is carried out, which lets the window's loop run."""
        act = Act(name)
        self._last, self._computed = time.perf_counter(), time.thread_time()
        self._act = act
        self._timer.start()
        try:
            yield act
        finally:
            self._tick()
            self._timer.stop()
            self._act = None

    def end(self) -> None:
        """Look no more."""
        self._is_over.set()
        self._looker.join()

    def _tick(self) -> None:
        act, now, computed = self._act, time.perf_counter(), time.thread_time()
        if act is not None:
            act.gaps.append(now - self._last)
            act.own.append(computed - self._computed)
        self._last, self._computed = now, computed

    def _look(self) -> None:
        with tempfile.TemporaryFile("w+") as notes:
            while not self._is_over.wait(_LOOK):
                act = self._act
                if act is not None and time.perf_counter() - self._last > LONG:
                    act.blame[_place(_calls_of(self._thread, notes))] += 1


def _calls_of(thread: int, notes: IO[str]) -> list[tuple[str, str, str]]:
    """File, line and function of each call that a thread is in, the innermost first.

    They come as text, and not as frames: who holds a frame has what is in it outlive the
    call, and end on another thread. That of a pixmap while it is painted ends the process.
    """
    notes.seek(0)
    notes.truncate()
    faulthandler.dump_traceback(notes)
    notes.seek(0)
    of_threads = re.split(r"^(?=(?:Current thread|Thread) 0x)", notes.read(), flags=re.M)
    own = next((one for one in of_threads if int(_ident(one), 16) == thread), "")
    return _CALL.findall(own)


def _ident(text: str) -> str:
    found = re.match(r"(?:Current thread|Thread) (0x[0-9a-f]+)", text)
    return found[1] if found is not None else "0"


def _place(calls: list[tuple[str, str, str]]) -> str:
    """The innermost line, and the innermost of this package above it."""
    own = [call for call in calls if "napari_dinomed" in call[0]][:2]
    chosen = [*reversed(own), *calls[:1]]
    return " > ".join(f"{Path(file).name}:{line} {name}" for file, line, name in chosen)
