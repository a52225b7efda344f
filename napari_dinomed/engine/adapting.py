"""Adapting an encoder, step by step, as an engine's request.

Between two steps clicks are answered: a step is a crop that is learnt from, or a slice that
is encoded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import Adapted, AdaptEncoder, Notice, Progress, Stage
from napari_dinomed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.messages import Event, Result
    from napari_dinomed.volume import Volume

    Steps = Iterator[Event | Result | None]


def adapting(volume: Volume, request: AdaptEncoder) -> Steps:
    """Adapt an encoder to a volume; the adapter is written at the end.

    Raises
    ------
    ModelError, WeightsError
        As `adapt`, and where the adapter cannot be written.
    """
    out = Path(request.out)
    if not out.parent.is_dir():
        raise ModelError(f"Cannot write {out}: the folder {out.parent} is not there.")
    yield Progress(0, 0, Stage.LOADING, request.encoder)
    # What teaching needs is read by those who teach.
    from napari_dinomed.adapt.painted import Lesson
    from napari_dinomed.adapt.run import Choices, Step, adapt

    lesson = Lesson(volume, request.labels, request.legend)
    choices = Choices(lessons=request.lessons)
    said: list[str] = []
    window = request.window or None
    steps = adapt([lesson], request.encoder, window, request.device, choices, said.append)
    for step in steps:
        yield from (Notice(said.pop(0)) for _ in range(len(said)))
        if step is None:
            yield None
        elif isinstance(step, Step):
            if step.saying:
                yield Notice(step.saying)
            left = f"about {max(1, round(step.seconds / 60))} min left"
            yield Progress(step.done, step.total, Stage.ADAPTING, left)
        else:
            step.write(out)
            yield Adapted(step.header)
